"""Scenarios: one module a scenario, discovered by `catalogue`."""

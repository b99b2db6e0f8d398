"""Simulation: scenarios that behave as a node on the real network does, and play files of them."""

"""Wiring: the only place where all layers meet."""

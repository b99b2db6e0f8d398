"""Dissection: bytes that peers sent become columns. Pure: no I/O, no clock, and nothing raises because of what a peer sent."""

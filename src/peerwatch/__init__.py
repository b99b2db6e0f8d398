"""Passive monitoring of Bitcoin nodes for P2P attacks and anomalies."""

__version__ = "0.1.0"

"""Connections as state: handshakes, requests and answers, the relay of transactions, and what is wrong with any of it."""

"""Traffic of all message types, some of it broken, in large numbers."""

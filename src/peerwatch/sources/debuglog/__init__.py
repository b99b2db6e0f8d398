"""What the node writes: its `debug.log`."""

"""What the system tells about the process of a node."""

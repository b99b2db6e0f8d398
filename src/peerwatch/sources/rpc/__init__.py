"""What the node answers: its RPC interface."""

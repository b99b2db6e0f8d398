"""What connections do over time: handshakes, requests and answers, what is strange. Pure state over rows."""

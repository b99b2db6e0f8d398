"""What is read from the answers, a file each."""

"""Templates by area, a file each."""

"""Detection. Pure: rows in, findings out, driven by the time in the rows alone."""

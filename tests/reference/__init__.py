"""A plain decoder to compare with: one message at a time, one field after the other, written from the BIPs and for reading."""

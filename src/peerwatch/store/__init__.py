"""The archive: what was recorded, readable by any Arrow or Parquet tool."""

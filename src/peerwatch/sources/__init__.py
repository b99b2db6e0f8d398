"""Sources: everything that rows come from. One module or folder a source."""

"""One module for each layout, named like the dissector's: TYPES, `decode` and `payloads`."""

"""Other decoders of the same bytes: what they make of a message must be what the dissectors make of it."""

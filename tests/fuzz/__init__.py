"""Coverage-guided search for bytes that are read wrongly; docs/howto/fuzz.md says how to run it."""

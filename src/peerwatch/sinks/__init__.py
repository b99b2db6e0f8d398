"""Sinks: where alerts go. One module a sink."""

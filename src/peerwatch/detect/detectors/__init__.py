"""One module a detector, discovered by `detect.registry`."""

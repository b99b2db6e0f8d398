"""One module a message layout, discovered by `wire.registry`."""

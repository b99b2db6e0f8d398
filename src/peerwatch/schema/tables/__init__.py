"""One module a table, discovered by `schema.registry`."""

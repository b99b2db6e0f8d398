"""Our own peer of a node, which looks at it from outside."""

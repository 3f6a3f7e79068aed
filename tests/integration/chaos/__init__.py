"""A package, so that its network ends with its last test."""

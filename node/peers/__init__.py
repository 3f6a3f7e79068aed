"""Messages between nodes over mutually authenticated gRPC."""

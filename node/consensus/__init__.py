"""Agreement of n >= 3f+1 nodes on inputs, sans-I/O; only the runtime module knows sockets and clocks."""

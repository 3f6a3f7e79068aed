"""EVM chains: facts by EIP-1186 proof against headers that a quorum of endpoints agrees on."""

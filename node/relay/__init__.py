"""States and attestations to the chains, once each."""

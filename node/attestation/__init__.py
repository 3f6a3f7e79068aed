"""Quorum-signed statements: how they are assembled and how anybody checks them."""

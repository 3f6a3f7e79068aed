"""The values a node agrees on and signs. Pure: no I/O, no clock, no randomness."""

"""The contracts on a real chain."""

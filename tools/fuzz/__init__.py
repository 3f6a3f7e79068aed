"""A coverage-guided fuzz of everything that reads what strangers wrote; see `python -m tools.fuzz --help`."""

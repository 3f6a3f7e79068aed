"""Tests mirror the packages; shared.py and tools.py find what lies outside the repository."""

"""Logs, metrics and health checks for those who run a node."""

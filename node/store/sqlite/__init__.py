"""The store that needs nothing installed: one SQLite file, in WAL mode, synced to disk at every commit."""

"""Development tools; nothing here is installed with the package."""

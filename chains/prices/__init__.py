"""Price sources, one file a source: how a proven or signed record reads as a quote. Pure; fetching is the adapters'."""

"""Durable storage behind the ports of consensus and ingest."""

"""An inbox in front of a state."""

from tests.unit.ingest.conftest import desk

__all__ = ["desk"]

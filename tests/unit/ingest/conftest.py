"""An inbox in front of a state."""

from __future__ import annotations

import pytest

from tests.unit.ingest.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    return await Desk().open()

"""What is written is what real beacon nodes serve, field for field; so a simulator that writes it serves their form."""

import json
from typing import Any

import pytest

from chains.proofs.lightclient import read, write
from chains.proofs.lightclient.config import MAINNET, SEPOLIA, BeaconConfig
from tests.vectors.proofs import beacon

HELIOS = "helios_mainnet_capella"
SERVED: list[tuple[str, BeaconConfig, Any]] = [
    *((f"update {at}", MAINNET, served) for at, served in enumerate(beacon.load(f"{HELIOS}/updates.json"))),
    ("finality", MAINNET, beacon.load(f"{HELIOS}/finality.json")),
    ("optimistic", MAINNET, beacon.load(f"{HELIOS}/optimistic.json")),
    *(
        (f"electra {slot}", SEPOLIA, {"version": "electra", "data": beacon.load(f"union_sepolia_electra/{name}.json")})
        for slot in (7167008, 7167040)
        if (name := f"finality_update_{slot}")
    ),
]


@pytest.mark.parametrize(("config", "served"), [case[1:] for case in SERVED], ids=[case[0] for case in SERVED])
def test_an_update_is_written_as_it_was_served(config: BeaconConfig, served: Any) -> None:  # noqa: ANN401 - JSON
    assert write.update(config, read.update(served)) == small(served)


def small(served: Any) -> Any:  # noqa: ANN401 - JSON
    """Fee recipients in small letters: some nodes give them mixed-case checksums."""
    return json.loads(json.dumps(served).lower())


def test_a_bootstrap_is_written_as_it_was_served() -> None:
    served = beacon.load(f"{HELIOS}/bootstrap.json")
    assert write.bootstrap(MAINNET, read.bootstrap(served)) == served


@pytest.mark.parametrize(("name", "case"), [*beacon.sync_cases()])
def test_official_objects_survive_being_written_and_read(name: str, case: beacon.SyncCase) -> None:
    served = case.bootstrap()
    assert read.bootstrap(write.bootstrap(case.config, served)) == served, name
    updates = [step["process_update"]["update"] for step in case.steps if "process_update" in step]
    for update in map(case.update, updates):
        assert read.update(write.update(case.config, update)) == update

"""No bit of what a light client is served can change: whatever is hashed, signed or claimed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import ProofError, RetryError
from chains.proofs.lightclient import read, store
from chains.proofs.lightclient.config import MAINNET, SEPOLIA
from chains.proofs.lightclient.store import Store
from tests.property.proofs.test_bit_flips import changed, leaves
from tests.vectors.proofs import beacon

# Not signed and not hashed: it says which committee and which fork's version verify the signature, and those are.
UNSIGNED = ("signature_slot",)


def strings(served: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON of any form
    """The paths of everything that is signed or hashed."""
    return [path for path in leaves(served) if path[-1] not in UNSIGNED]


BOOTSTRAP = beacon.load("helios_mainnet_capella/bootstrap.json")["data"]
FINALITY = beacon.load("helios_mainnet_capella/finality.json")["data"]
OPTIMISTIC = beacon.load("helios_mainnet_capella/optimistic.json")["data"]
UPDATE = beacon.load("helios_mainnet_capella/updates.json")[1]["data"]
ELECTRA = beacon.load("union_sepolia_electra/finality_update_7167040.json")


def mainnet_store(updates: int) -> Store:
    bootstrap, served, _, _ = beacon.helios()
    header = bootstrap.header.beacon
    held = store.bootstrap(MAINNET, header.root(), bootstrap, MAINNET.time(header.slot))
    for update in served[:updates]:
        held = store.apply(MAINNET, held, update, beacon.end_of(MAINNET, update))
    return held


def sepolia_store() -> Store:
    committee = beacon.load("union_sepolia_electra/current_sync_committee_7167008.json")
    header = beacon.load("union_sepolia_electra/finality_update_7167008.json")["finalized_header"]
    return read.store({"finalized_header": header, "current_sync_committee": committee})


CASES = [
    ("update", MAINNET, mainnet_store(1), UPDATE),
    ("finality", MAINNET, mainnet_store(6), FINALITY),
    ("optimistic", MAINNET, mainnet_store(6), OPTIMISTIC),
    ("electra", SEPOLIA, sepolia_store(), ELECTRA),
]


@settings(max_examples=40)
@given(data=st.data())
@pytest.mark.parametrize(("name", "config", "held", "served"), CASES, ids=[case[0] for case in CASES])
def test_a_flip_in_an_update_is_refused(name: str, config: Any, held: Store, served: Any, data: st.DataObject) -> None:  # noqa: ANN401
    now = beacon.end_of(config, read.update(served))
    store.apply(config, held, read.update(served), now)
    with pytest.raises((ProofError, RetryError)):
        store.apply(config, held, read.update(changed(served, data.draw(st.sampled_from(strings(served))), data)), now)


@settings(max_examples=40)
@given(data=st.data())
def test_a_flip_in_a_bootstrap_is_refused(data: st.DataObject) -> None:
    header = read.bootstrap(BOOTSTRAP).header.beacon
    root, now = header.root(), MAINNET.time(header.slot)
    store.bootstrap(MAINNET, root, read.bootstrap(BOOTSTRAP), now)
    served = changed(BOOTSTRAP, data.draw(st.sampled_from(strings(BOOTSTRAP))), data)
    with pytest.raises((ProofError, RetryError)):
        store.bootstrap(MAINNET, root, read.bootstrap(served), now)

"""A light client's run as a file, from real data: what it tells, and what it refuses."""

import json
from typing import Any

import pytest

from chains.errors import (
    ClaimMismatch,
    MalformedProof,
    OversizedProof,
    ProofIncomplete,
    ProofInvalid,
    StaleError,
)
from chains.proofs.lightclient.file import MAX_UPDATES
from chains.proofs.verify import verify_file
from tests.vectors.proofs import beacon

Json = dict[str, Any]


def helios(updates: int = 6) -> Json:
    bootstrap, served, finality, optimistic = (
        beacon.load(f"helios_mainnet_capella/{name}.json")
        for name in ("bootstrap", "updates", "finality", "optimistic")
    )
    last = {"finality_update": finality, "optimistic_update": optimistic} if updates == 6 else {}
    return {"config": "mainnet", "bootstrap": bootstrap, "updates": served[:updates]} | last


TRUSTED = beacon.helios()[0].header.beacon.root().hex()


def test_a_run_tells_what_is_final() -> None:
    proven: Json = verify_file("sync-committee", helios())
    assert json.loads(json.dumps(proven)) == proven
    assert proven["network"] == "mainnet"
    assert proven["trusted"] == "0x" + TRUSTED
    assert proven["finalized"]["slot"] == hex(7109344)
    assert proven["finalized"]["execution_block"] == {
        "hash": "0xbc8499537876e5406c7a65e25f99063f1cd85a17014a3aa5ade38271b1fbf64f",
        "number": hex(17923026),
        "state_root": "0x226f5ff47ab3725b5a4a3afc74b1e79e4aa3a29704561eccce590e58900baec3",
        "receipts_root": "0xa71c4101ece61ca0fc624efdb54dc382be561a8c047a19cf5f10e530378e0b9c",
        "timestamp": hex(1692136151),
    }
    assert proven["optimistic"]["slot"] == hex(7109431)
    assert proven["sync_committee_period"] == hex(867)
    assert verify_file("sync-committee", helios() | {"trusted_root": "0x" + TRUSTED}) == proven


def test_a_run_goes_on_from_a_store_that_was_kept() -> None:
    whole: Json = verify_file("sync-committee", helios())
    half: Json = verify_file("sync-committee", helios(3))
    third = beacon.load("helios_mainnet_capella/updates.json")[2]["data"]
    second = beacon.load("helios_mainnet_capella/updates.json")[1]["data"]
    kept = {
        "finalized_header": third["finalized_header"],
        "optimistic_header": third["attested_header"],
        "current_sync_committee": second["next_sync_committee"],
        "next_sync_committee": third["next_sync_committee"],
    }
    rest = helios() | {"store": kept, "updates": helios()["updates"][3:], "trusted_root": half["store_root"]}
    del rest["bootstrap"]
    assert verify_file("sync-committee", rest) == whole | {"trusted": half["store_root"]}
    with pytest.raises(ClaimMismatch, match="kept store"):
        verify_file("sync-committee", rest | {"store": kept | {"next_sync_committee": second["next_sync_committee"]}})


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"trusted_root": "0x" + 64 * "1"}, ClaimMismatch, "trusted block"),
        ({"config": "sepolia"}, ProofInvalid, "execution|branch|signature|current"),
        ({"config": "ropsten"}, MalformedProof, "no network"),
        ({"config": {"forks": {}}}, MalformedProof, "config"),
        ({"now": 1692137183 + 15 * 86400}, StaleError, "too old"),
        ({"now": 1691656535}, ProofInvalid, "future"),
        ({"updates": helios()["updates"][1:]}, ProofIncomplete, "period before"),
        ({"updates": helios()["updates"][::-1]}, ProofIncomplete, "period before"),
        ({"updates": [{}]}, MalformedProof, "attested_header"),
        ({"updates": [None] * (MAX_UPDATES + 1)}, OversizedProof, "updates"),
        ({"finality_update": None}, MalformedProof, "finality_update"),
        ({"bootstrap": {}}, MalformedProof, "bootstrap"),
        ({"store": {}}, MalformedProof, "either"),
    ],
    ids=range(13),
)
def test_what_does_not_hold_is_refused(change: Json, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        verify_file("sync-committee", helios() | change)


def test_a_checkpoint_that_is_fresh_is_taken() -> None:
    assert verify_file("sync-committee", helios() | {"now": 1692137195})


@pytest.mark.parametrize("value", [None, [], {}, 3, "x"])
def test_a_file_that_begins_nowhere_is_refused(value: object) -> None:
    with pytest.raises(MalformedProof):
        verify_file("sync-committee", value)


def test_a_network_may_be_spelt_out() -> None:
    spelt = {
        "genesis_time": 1606824023,
        "genesis_validators_root": "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
        "genesis_fork_version": "0x00000000",
        "forks": {
            "altair": {"epoch": 74240, "version": "0x01000000"},
            "bellatrix": {"epoch": 144896, "version": "0x02000000"},
            "capella": {"epoch": 194048, "version": "0x03000000"},
            "gloas": {"epoch": "18446744073709551615", "version": "0x07000000"},
        },
    }
    proven: Json = verify_file("sync-committee", helios() | {"config": spelt})
    assert proven == verify_file("sync-committee", helios()) | {"network": "custom"}
    spelt["forks"]["capella"]["version"] = "0x03000001"  # type: ignore[index]
    with pytest.raises(ProofInvalid, match="signature"):
        verify_file("sync-committee", helios() | {"config": spelt})


@pytest.mark.parametrize("number", [-1, 1.0, True, "01", "-1", "1e3", "0x", 1 << 64, str(1 << 64), None, [], "9" * 100])
def test_what_is_no_number_is_refused(number: object) -> None:
    with pytest.raises(MalformedProof, match="unsigned integer"):
        verify_file("sync-committee", helios() | {"now": number})

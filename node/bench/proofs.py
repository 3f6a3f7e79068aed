"""How fast chain proofs are verified, beside other libraries and beside bare hashing.

Owns what is measured: a vault of 100,000 balances, proofs as bytes of their own for each slot, nothing kept from one
run to the next. Slots are asked in the order of their trie keys, as the adapter asks them. Processor time, medians. A
library that is not installed gives None.
"""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from chains.proofs import eip1186, rlp
from chains.proofs.build import Trie
from chains.proofs.eip1186 import Account, prove_account, prove_slots
from chains.proofs.keccak import hasher, keccak
from chains.proofs.slots import mapping_slot, uint_word
from chains.types import Address, Hash32
from node.bench import following, light_client, periods

VAULT = Address(b"\x0a" * 20)
BALANCES = 100_000
BATCH = 10_000
_RUNS = 7
_PEER_SINGLES = 200
_PEER_BATCH = 1_000
"""Of the batch, how many a peer proves: it takes as long for each of them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One vault's account and some of its slots, each with its proof."""

    state_root: Hash32
    account_proof: list[bytes]
    storage_root: Hash32
    slots: Mapping[Hash32, list[bytes]]

    def fresh(self, most: int | None = None) -> tuple[list[bytes], dict[Hash32, list[bytes]]]:
        """The account's proof and those of the first slots, in bytes that nobody has met."""
        slots = list(self.slots.items())[:most]
        return _copied(self.account_proof), {Hash32(_copy(slot)): _copied(proof) for slot, proof in slots}


def run(*, as_json: bool) -> None:
    """Measure and print."""
    figures = measure()
    if as_json:
        print(json.dumps(figures))  # noqa: T201 - one line for a machine
        return
    table = Table("figure", "measured", "wanted")
    for group, values in figures.items():
        for name, value in values.items():
            table.add_row(f"{group} {name}", "not installed" if value is None else str(value), TARGETS[group, name])
    Console().print(table)


TARGETS = {
    ("eip1186", "single_vs_py_trie"): "≥ 10",
    ("eip1186", "batch_vs_py_trie"): "≥ 25",
    ("eip1186", "single_vs_ethereumjs"): "≥ 10",
    ("eip1186", "batch_vs_ethereumjs"): "≥ 15",
    ("eip1186", "batch_vs_hashing"): "≤ 3",
    ("following", "cost_growth"): "< 1.5",
    ("following", "ms_per_block"): "< 20",
    ("sync_committee", "ms"): "< 50",
    ("sync_committee", "periods"): "100",
    ("sync_committee", "periods_ms"): "< 30000",
    ("sync_committee", "peak_mb"): "< 100",
}


def measure(
    balances: int = BALANCES, batch: int = BATCH, committees: int = periods.PERIODS
) -> dict[str, dict[str, float | None]]:
    """All figures. Ratios say how many times longer the other takes, `batch_vs_hashing` how many times longer we do."""
    made = sample(balances, batch)
    return {
        "eip1186": _eip1186(made),
        "following": following.measure(small=max(50, balances // 100), large=balances),
        "sync_committee": {"ms": light_client.milliseconds(), **periods.measure(committees)},
    }


def sample(balances: int, batch: int) -> Sample:
    """A vault of so many balances in a state of as many accounts as a tenth of them, and `batch` random slots of it."""
    chosen = random.Random(1)  # noqa: S311 - the same each time
    slots = [mapping_slot(uint_word(3), uint_word(n)) for n in range(balances)]
    storage = Trie((keccak(slot), rlp.encode(rlp.uint_bytes(chosen.randrange(1, 10**24)))) for slot in slots)
    vault = Account(1, 10**18, storage.root, keccak(b"code"))
    plain = Account(1, 10**18, keccak(b"storage"), keccak(b"code"))
    others = (Address(keccak(n.to_bytes(4, "big"))[:20]) for n in range(balances // 10))
    accounts = {**dict.fromkeys(others, plain), VAULT: vault}
    state = Trie((keccak(address), eip1186.encode_account(account)) for address, account in accounts.items())
    asked = sorted(chosen.sample(slots, batch), key=keccak)
    return Sample(
        state.root,
        state.prove(keccak(VAULT)),
        storage.root,
        {slot: storage.prove(keccak(slot)) for slot in asked},
    )


def _eip1186(made: Sample) -> dict[str, float | None]:
    single = _typical(lambda: [made.fresh(1) for _ in range(_PEER_SINGLES)], lambda each: _ours(made, each))
    batch = _typical(lambda: [made.fresh()], lambda each: _ours(made, each))
    bare = _typical(lambda: _distinct(made), _hash)
    peers = {"py_trie": _py_trie(made), "ethereumjs": _ethereumjs(made)}
    figures: dict[str, float | None] = {}
    for name, peer in peers.items():
        figures[f"single_vs_{name}"] = None if peer is None else round(peer[0] / (single / _PEER_SINGLES), 2)
        figures[f"batch_vs_{name}"] = None if peer is None else round(peer[1] / (batch / len(made.slots)), 2)
    return figures | {"batch_vs_hashing": round(batch / bare, 2)}


def _ours(made: Sample, proofs: Sequence[tuple[list[bytes], dict[Hash32, list[bytes]]]]) -> None:
    for account_proof, slots in proofs:
        account = prove_account(made.state_root, VAULT, account_proof)
        prove_slots(account.storage_hash if account else made.storage_root, slots)


def _distinct(made: Sample) -> list[bytes]:
    account_proof, slots = made.fresh()
    return [*{node for proof in (account_proof, *slots.values()) for node in proof}, *slots]


def _hash(items: list[bytes]) -> None:
    for item in items:
        hasher(item).digest()


def _py_trie(made: Sample) -> tuple[float, float] | None:
    """Seconds that PyPI's `trie` takes for an account with a slot, and for a slot of many under one root."""
    os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its dependencies deprecate one another
            import rlp as peer_rlp  # type: ignore[import-untyped]
            from trie.hexary import HexaryTrie
    except ImportError:
        return None

    proven: Any = HexaryTrie.get_from_proof  # it has no types

    def value(root: Hash32, key: bytes, proof: list[bytes]) -> Any:  # noqa: ANN401 - what its RLP decodes to
        found = proven(root, keccak(key), [peer_rlp.decode(node) for node in proof])
        return peer_rlp.decode(found)

    def singles(proofs: Sequence[tuple[list[bytes], dict[Hash32, list[bytes]]]]) -> None:
        for account_proof, slots in proofs:
            account = value(made.state_root, VAULT, account_proof)
            for slot, proof in slots.items():
                value(account[2], slot, proof)

    def batch(proofs: dict[Hash32, list[bytes]]) -> None:
        for slot, proof in proofs.items():
            value(made.storage_root, slot, proof)

    most = min(_PEER_BATCH, len(made.slots))
    single = _typical(lambda: [made.fresh(1) for _ in range(_PEER_SINGLES)], singles, 3)
    return single / _PEER_SINGLES, _typical(lambda: made.fresh(most)[1], batch, 3) / most


def _ethereumjs(made: Sample) -> tuple[float, float] | None:
    """The same by npm's `@ethereumjs/mpt`, if it is among the node_modules here or above."""
    node = shutil.which("node")
    home = next((path for path in (Path.cwd(), *Path.cwd().parents) if (path / _ETHEREUMJS).is_dir()), None)
    if node is None or home is None:
        return None
    most = min(_PEER_BATCH, len(made.slots))
    account_proof, slots = made.fresh(most)
    asked = {
        "stateRoot": made.state_root.hex(),
        "address": VAULT.hex(),
        "accountProof": [raw.hex() for raw in account_proof],
        "storageRoot": made.storage_root.hex(),
        "slots": [[slot.hex(), [raw.hex() for raw in proof]] for slot, proof in slots.items()],
        "singles": _PEER_SINGLES,
    }
    script = files("node.bench").joinpath("ethereumjs.mjs").read_text()
    done = subprocess.run(
        [node, "--input-type=module", "-e", script],
        input=json.dumps(asked), cwd=home, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    return float(told["single"]), float(told["slot"])


_ETHEREUMJS = "node_modules/@ethereumjs/mpt"


def _typical(prepare: Callable[[], Any], work: Callable[[Any], None], runs: int = _RUNS) -> float:
    """Median processor seconds of `work` on what `prepare` makes anew for each run."""
    taken = []
    for _ in range(runs):
        prepared = prepare()
        gc.collect()
        start = time.process_time()
        work(prepared)
        taken.append(time.process_time() - start)
    return median(taken)


def _copied(proof: list[bytes]) -> list[bytes]:
    return [_copy(node) for node in proof]


def _copy(data: bytes) -> bytes:
    return bytes(bytearray(data))

"""A light client's run as a saved file: verified offline, with what it proves in plain JSON.

Owns the file form. Must not read files or print: it takes what was parsed.

`{"config", "bootstrap" or "store", "trusted_root", "updates": […], "finality_update", "optimistic_update", "now"}`

- `config`: a network by name (`mainnet`, `sepolia`) or the object that `read.config` takes; mainnet if it is left out;
- `bootstrap`: as `/eth/v1/beacon/light_client/bootstrap` gives it; or `store`, as `read.store` takes it;
- `trusted_root`: the block root, or the root of the store, that you trust. Without it, what is proven is relative to
  the root that the answer states as `trusted`;
- `updates`, in their order, `finality_update` and `optimistic_update`: as the Beacon API gives them, all optional;
- `now`: seconds since 1970. With it a checkpoint of over two weeks and a signature of the future are refused; without
  it nothing is said about how old anything is.
"""

from __future__ import annotations

from collections.abc import Mapping

from chains.errors import MalformedProof
from chains.proofs import parse
from chains.proofs.lightclient import read, store
from chains.proofs.lightclient.config import MAINNET, BeaconConfig
from chains.proofs.lightclient.containers import LightClientHeader, Update
from chains.proofs.lightclient.store import Store
from chains.types import Hash32, UnixSeconds

MAX_UPDATES = 1024
"""Updates in one file: over three years, one a period."""

_NO_LIMIT = 1 << 64


def verify_sync_committee(data: object) -> dict[str, object]:
    """What the parsed file `data` proves. Raises a ProofError with its reason if it does not hold."""
    file = parse.mapping(data, "file")
    config = read.config(file["config"]) if "config" in file else MAINNET
    updates = _updates(file)
    now = UnixSeconds(read.uint(file["now"], "now")) if "now" in file else None
    trusted, held = _begin(file, config, now)
    for update in updates:
        held = store.apply(config, held, update, config.time(update.signature_slot) if now is None else now)
    return {
        "network": config.name,
        "trusted": _hex(trusted),
        "finalized": _header(config, held.finalized),
        "optimistic": _header(config, held.optimistic),
        "sync_committee_period": hex(config.period(held.finalized.beacon.slot)),
        "next_sync_committee": None if held.next is None else _hex(held.next.root()),
        "store_root": _hex(held.root(config)),
    }


def _updates(file: Mapping[str, object]) -> list[Update]:
    entries = parse.sequence(file.get("updates", []), "updates", MAX_UPDATES)
    found = [read.update(entry, f"updates[{at}]") for at, entry in enumerate(entries)]
    found += [read.update(file[name], name) for name in ("finality_update", "optimistic_update") if name in file]
    return found


def _begin(file: Mapping[str, object], config: BeaconConfig, now: UnixSeconds | None) -> tuple[Hash32, Store]:
    """The root that everything is relative to, and the store to begin with."""
    if ("bootstrap" in file) == ("store" in file):
        raise MalformedProof("file has to begin with either a bootstrap or a store", fields=sorted(file))
    given = parse.hash32(file["trusted_root"], "trusted_root") if "trusted_root" in file else None
    max_age = _NO_LIMIT if now is None else store.MAX_CHECKPOINT_AGE
    if "store" in file:
        kept = read.store(file["store"])
        root = kept.root(config) if given is None else given
        return root, store.restore(config, root, kept, _or(now, config, kept.finalized), max_age)
    served = read.bootstrap(file["bootstrap"])
    root = served.header.beacon.root() if given is None else given
    return root, store.bootstrap(config, root, served, _or(now, config, served.header), max_age)


def _or(now: UnixSeconds | None, config: BeaconConfig, header: LightClientHeader) -> UnixSeconds:
    return config.time(header.beacon.slot) if now is None else now


def _header(config: BeaconConfig, header: LightClientHeader) -> dict[str, object]:
    block_hash, execution = store.execution_block_hash(config, header), header.execution
    block: dict[str, object] | None = None
    if block_hash is not None:
        block = {"hash": _hex(block_hash)}
    if block is not None and execution is not None:
        block |= {
            "number": hex(execution.block_number),
            "state_root": _hex(execution.state_root),
            "receipts_root": _hex(execution.receipts_root),
            "timestamp": hex(execution.timestamp),
        }
    return {
        "slot": hex(header.beacon.slot),
        "root": _hex(header.beacon.root()),
        "state_root": _hex(header.beacon.state_root),
        "execution_block": block,
    }


def _hex(value: bytes) -> str:
    return "0x" + value.hex()

"""The Beacon API's JSON as the light client's values (beacon-APIs, `types/altair/light_client.yaml` and successors).

Owns the JSON forms: numbers in decimal, as strings or plain; bytes in hexadecimal; an object with or without its
`{"version", "data"}` wrapper. Must not know whether anything holds. All raises MalformedProof, or OversizedProof over
a bound, and names the field. The version is not read: which form is right follows from the slot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from chains.errors import ConfigError, MalformedProof
from chains.proofs import parse
from chains.proofs.lightclient.bls import KEY_SIZE, SIGNATURE_SIZE
from chains.proofs.lightclient.config import MAX_COMMITTEE, NETWORKS, BeaconConfig, Slot, fork_schedule
from chains.proofs.lightclient.containers import (
    BeaconHeader,
    Bootstrap,
    Branch,
    ExecutionHeader,
    LightClientHeader,
    SyncAggregate,
    SyncCommittee,
    Update,
)
from chains.proofs.lightclient.ssz import ZERO
from chains.proofs.lightclient.store import Store
from chains.types import Height, UnixSeconds

MAX_BRANCH = 16
"""Nodes in a branch; the longest of Gloas has 11."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,77}|0x[0-9a-fA-F]{1,64}")
T = TypeVar("T")


def uint(value: object, field: str, bits: int = 64) -> int:
    """`value` as an unsigned integer below 2^`bits`: in decimal, or in hexadecimal as some relayers write it."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value, 0)
    if type(value) is not int or value < 0 or value >> bits:
        raise MalformedProof(f"{field} is not an unsigned integer of {bits} bits", got=value)
    return value


def unwrapped(value: object, field: str) -> Mapping[str, object]:
    """The object itself, out of its `{"version", "data"}` wrapper if it has one."""
    found = parse.mapping(value, field)
    return parse.mapping(found["data"], f"{field}.data") if "data" in found else found


def bootstrap(value: object, field: str = "bootstrap") -> Bootstrap:
    """A LightClientBootstrap."""
    found = unwrapped(value, field)
    return Bootstrap(
        header=_header(found.get("header"), f"{field}.header"),
        current_sync_committee=_committee(found.get("current_sync_committee"), f"{field}.current_sync_committee"),
        current_sync_committee_branch=_branch(found, "current_sync_committee_branch", field),
    )


def update(value: object, field: str = "update") -> Update:
    """A LightClientUpdate, LightClientFinalityUpdate or LightClientOptimisticUpdate.

    What a fork's form fills with zeros because there is nothing to tell, is None.
    """
    found = unwrapped(value, field)
    committee = _present(found, "next_sync_committee", _committee, field)
    final = _present(found, "finalized_header", _header, field)
    return Update(
        attested_header=_header(found.get("attested_header"), f"{field}.attested_header"),
        sync_aggregate=_aggregate(found.get("sync_aggregate"), f"{field}.sync_aggregate"),
        signature_slot=Slot(uint(found.get("signature_slot"), f"{field}.signature_slot")),
        finalized_header=None if final is None or final.beacon == _NO_BLOCK else final,
        finality_branch=_branch(found, "finality_branch", field),
        next_sync_committee=None if committee is None or not any(committee.aggregate_pubkey) else committee,
        next_sync_committee_branch=_branch(found, "next_sync_committee_branch", field),
    )


def store(value: object, field: str = "store") -> Store:
    """A store that was kept: LightClientStore's `finalized_header`, `optimistic_header` and committees.

    Without its optimistic header, that is the finalized one.
    """
    found = unwrapped(value, field)
    final = _header(found.get("finalized_header"), f"{field}.finalized_header")
    return Store(
        finalized=final,
        optimistic=_present(found, "optimistic_header", _header, field) or final,
        current=_committee(found.get("current_sync_committee"), f"{field}.current_sync_committee"),
        next=_present(found, "next_sync_committee", _committee, field),
    )


def config(value: object, field: str = "config") -> BeaconConfig:
    """A network: its name if it is one of `NETWORKS`, or an object.

    `{"genesis_time", "genesis_validators_root", "genesis_fork_version", "forks": {"altair": {"epoch", "version"}, …}}`
    and, where they differ from mainnet's, `seconds_per_slot`, `slots_per_epoch`, `epochs_per_sync_committee_period`,
    `sync_committee_size`.
    """
    if isinstance(value, str):
        if value not in NETWORKS:
            raise MalformedProof(f"{field} names no network that is known: {', '.join(NETWORKS)}", got=value)
        return NETWORKS[value]
    found = parse.mapping(value, field)

    def number(name: str, default: object = None, bits: int = 16) -> int:
        return uint(found.get(name, default), f"{field}.{name}", bits)

    forks: dict[str, tuple[int, bytes]] = {}
    for name, entry in parse.mapping(found.get("forks"), f"{field}.forks").items():
        fork = parse.mapping(entry, f"{field}.forks.{name}")
        epoch = uint(fork.get("epoch"), f"{field}.forks.{name}.epoch")
        forks[name] = (epoch, _version(fork.get("version"), f"{field}.forks.{name}.version"))
    try:
        return BeaconConfig(
            name="custom",
            genesis_time=UnixSeconds(number("genesis_time", bits=64)),
            genesis_validators_root=parse.hash32(
                found.get("genesis_validators_root"), f"{field}.genesis_validators_root"
            ),
            genesis_version=_version(found.get("genesis_fork_version"), f"{field}.genesis_fork_version"),
            forks=fork_schedule(forks),
            seconds_per_slot=number("seconds_per_slot", 12),
            slots_per_epoch=number("slots_per_epoch", 32),
            epochs_per_period=number("epochs_per_sync_committee_period", 256),
            committee_size=number("sync_committee_size", MAX_COMMITTEE),
        )
    except ConfigError as error:
        raise MalformedProof(f"{field} is no network: {error}") from error


def _version(value: object, field: str) -> bytes:
    return parse.data(value, field, most=4, size=4)


def _present(found: Mapping[str, object], name: str, read: Callable[[object, str], T], field: str) -> T | None:
    return None if found.get(name) is None else read(found[name], f"{field}.{name}")


def _header(value: object, field: str) -> LightClientHeader:
    found = parse.mapping(value, field)
    if "beacon" not in found:  # Altair's form, which some clients give as it is
        return LightClientHeader(_beacon(found, field))
    execution = _present(found, "execution", _execution, field)
    block_hash = _present(found, "execution_block_hash", parse.hash32, field)
    return LightClientHeader(
        beacon=_beacon(parse.mapping(found["beacon"], f"{field}.beacon"), f"{field}.beacon"),
        execution=None if execution == _NO_EXECUTION else execution,
        execution_block_hash=None if block_hash == ZERO else block_hash,
        execution_branch=_branch(found, "execution_branch", field),
    )


def _beacon(found: Mapping[str, object], field: str) -> BeaconHeader:
    return BeaconHeader(
        slot=Slot(uint(found.get("slot"), f"{field}.slot")),
        proposer_index=uint(found.get("proposer_index"), f"{field}.proposer_index"),
        parent_root=parse.hash32(found.get("parent_root"), f"{field}.parent_root"),
        state_root=parse.hash32(found.get("state_root"), f"{field}.state_root"),
        body_root=parse.hash32(found.get("body_root"), f"{field}.body_root"),
    )


def _execution(value: object, field: str) -> ExecutionHeader:
    found = parse.mapping(value, field)

    def number(name: str, default: object = None, bits: int = 64) -> int:
        return uint(found.get(name, default), f"{field}.{name}", bits)

    return ExecutionHeader(
        parent_hash=parse.hash32(found.get("parent_hash"), f"{field}.parent_hash"),
        fee_recipient=parse.address(found.get("fee_recipient"), f"{field}.fee_recipient"),
        state_root=parse.hash32(found.get("state_root"), f"{field}.state_root"),
        receipts_root=parse.hash32(found.get("receipts_root"), f"{field}.receipts_root"),
        logs_bloom=parse.data(found.get("logs_bloom"), f"{field}.logs_bloom", most=256, size=256),
        prev_randao=parse.hash32(found.get("prev_randao"), f"{field}.prev_randao"),
        block_number=Height(number("block_number")),
        gas_limit=number("gas_limit"),
        gas_used=number("gas_used"),
        timestamp=UnixSeconds(number("timestamp")),
        extra_data=parse.data(found.get("extra_data"), f"{field}.extra_data", most=32),
        base_fee_per_gas=number("base_fee_per_gas", bits=256),
        block_hash=parse.hash32(found.get("block_hash"), f"{field}.block_hash"),
        transactions_root=parse.hash32(found.get("transactions_root"), f"{field}.transactions_root"),
        withdrawals_root=parse.hash32(found.get("withdrawals_root"), f"{field}.withdrawals_root"),
        blob_gas_used=number("blob_gas_used", 0),
        excess_blob_gas=number("excess_blob_gas", 0),
    )


def _committee(value: object, field: str) -> SyncCommittee:
    found = parse.mapping(value, field)
    pubkeys = parse.sequence(found.get("pubkeys"), f"{field}.pubkeys", MAX_COMMITTEE)
    return SyncCommittee(
        pubkeys=tuple(
            parse.data(key, f"{field}.pubkeys[{at}]", most=KEY_SIZE, size=KEY_SIZE) for at, key in enumerate(pubkeys)
        ),
        aggregate_pubkey=parse.data(
            found.get("aggregate_pubkey"), f"{field}.aggregate_pubkey", most=KEY_SIZE, size=KEY_SIZE
        ),
    )


def _aggregate(value: object, field: str) -> SyncAggregate:
    found = parse.mapping(value, field)
    signature = found.get("sync_committee_signature")
    return SyncAggregate(
        bits=parse.data(found.get("sync_committee_bits"), f"{field}.sync_committee_bits", most=MAX_COMMITTEE // 8),
        signature=parse.data(signature, f"{field}.sync_committee_signature", most=SIGNATURE_SIZE, size=SIGNATURE_SIZE),
    )


def _branch(found: Mapping[str, object], name: str, field: str) -> Branch:
    nodes = parse.sequence(found.get(name) or [], f"{field}.{name}", MAX_BRANCH)
    return tuple(parse.hash32(node, f"{field}.{name}[{at}]") for at, node in enumerate(nodes))


_ZEROS = "0x" + 64 * "0"
_NO_BLOCK = _beacon(
    {"slot": 0, "proposer_index": 0, "parent_root": _ZEROS, "state_root": _ZEROS, "body_root": _ZEROS}, "none"
)
_NO_EXECUTION = _execution(
    {
        "fee_recipient": "0x" + 40 * "0",
        "logs_bloom": "0x" + 512 * "0",
        "extra_data": "0x",
        **dict.fromkeys(("block_number", "gas_limit", "gas_used", "timestamp", "base_fee_per_gas"), 0),
        **dict.fromkeys(("parent_hash", "state_root", "receipts_root", "prev_randao"), _ZEROS),
        **dict.fromkeys(("block_hash", "transactions_root", "withdrawals_root"), _ZEROS),
    },
    "none",
)

"""The light client's values as the Beacon API's JSON: what `read` reads.

Owns the form of each fork, which follows from the slot of each header. Must not know whether anything holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chains.proofs.lightclient.config import BeaconConfig, Fork, Slot
from chains.proofs.lightclient.containers import (
    BeaconHeader,
    Bootstrap,
    ExecutionHeader,
    LightClientHeader,
    SyncCommittee,
    Update,
)
from chains.proofs.lightclient.store import Store

Json = dict[str, Any]


def bootstrap(config: BeaconConfig, value: Bootstrap) -> Json:
    """A LightClientBootstrap in its wrapper."""
    data = {
        "header": _header(config, value.header),
        "current_sync_committee": _committee(value.current_sync_committee),
        "current_sync_committee_branch": _nodes(value.current_sync_committee_branch),
    }
    return _wrapped(config, value.header, data)


def update(config: BeaconConfig, value: Update) -> Json:
    """An update in its wrapper; without its committee a finality update, without a final header an optimistic one."""
    data: Json = {"attested_header": _header(config, value.attested_header)}
    if value.next_sync_committee is not None:
        data["next_sync_committee"] = _committee(value.next_sync_committee)
    if value.next_sync_committee_branch:
        data["next_sync_committee_branch"] = _nodes(value.next_sync_committee_branch)
    if value.finalized_header is not None:
        data["finalized_header"] = _header(config, value.finalized_header)
    if value.finality_branch:
        data["finality_branch"] = _nodes(value.finality_branch)
    aggregate = value.sync_aggregate
    data["sync_aggregate"] = {
        "sync_committee_bits": _hex(aggregate.bits),
        "sync_committee_signature": _hex(aggregate.signature),
    }
    data["signature_slot"] = str(value.signature_slot)
    return _wrapped(config, value.attested_header, data)


def store(config: BeaconConfig, value: Store) -> Json:
    """A store to keep, all of its fields."""
    data = {
        "finalized_header": _header(config, value.finalized),
        "optimistic_header": _header(config, value.optimistic),
        "current_sync_committee": _committee(value.current),
    }
    if value.next is not None:
        data["next_sync_committee"] = _committee(value.next)
    return data


def _wrapped(config: BeaconConfig, header: LightClientHeader, data: Json) -> Json:
    return {"version": _fork(config, header.beacon.slot).name.lower(), "data": data}


def _fork(config: BeaconConfig, slot: Slot) -> Fork:
    return config.fork(slot) or Fork.ALTAIR


def _header(config: BeaconConfig, value: LightClientHeader) -> Json:
    data: Json = {"beacon": _beacon(value.beacon)}
    if value.execution is not None:
        data["execution"] = _execution(value.execution, _fork(config, value.beacon.slot))
    if value.execution_block_hash is not None:
        data["execution_block_hash"] = _hex(value.execution_block_hash)
    if value.execution_branch:
        data["execution_branch"] = _nodes(value.execution_branch)
    return data


def _beacon(value: BeaconHeader) -> Json:
    return {
        "slot": str(value.slot),
        "proposer_index": str(value.proposer_index),
        "parent_root": _hex(value.parent_root),
        "state_root": _hex(value.state_root),
        "body_root": _hex(value.body_root),
    }


def _execution(value: ExecutionHeader, fork: Fork) -> Json:
    data = {
        "parent_hash": _hex(value.parent_hash),
        "fee_recipient": _hex(value.fee_recipient),
        "state_root": _hex(value.state_root),
        "receipts_root": _hex(value.receipts_root),
        "logs_bloom": _hex(value.logs_bloom),
        "prev_randao": _hex(value.prev_randao),
        "block_number": str(value.block_number),
        "gas_limit": str(value.gas_limit),
        "gas_used": str(value.gas_used),
        "timestamp": str(value.timestamp),
        "extra_data": _hex(value.extra_data),
        "base_fee_per_gas": str(value.base_fee_per_gas),
        "block_hash": _hex(value.block_hash),
        "transactions_root": _hex(value.transactions_root),
        "withdrawals_root": _hex(value.withdrawals_root),
    }
    if fork >= Fork.DENEB:
        data |= {"blob_gas_used": str(value.blob_gas_used), "excess_blob_gas": str(value.excess_blob_gas)}
    return data


def _committee(value: SyncCommittee) -> Json:
    return {"pubkeys": [_hex(key) for key in value.pubkeys], "aggregate_pubkey": _hex(value.aggregate_pubkey)}


def _nodes(branch: Iterable[bytes]) -> list[str]:
    return [_hex(node) for node in branch]


def _hex(value: bytes) -> str:
    return "0x" + value.hex()

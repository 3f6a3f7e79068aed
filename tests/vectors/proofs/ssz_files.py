"""Light client objects out of SSZ files: the Beacon API's JSON of what they hold.

Owns the offsets of SSZ (consensus-specs, `ssz/simple-serialize.md`) and raw snappy (google/snappy,
`format_description.txt`), so that real data in those forms reaches the code by the one door that it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chains.proofs.lightclient.config import Fork

Json = dict[str, Any]

_BRANCHES = {Fork.ALTAIR: (6, 5), Fork.ELECTRA: (7, 6)}


def unsnap(data: bytes) -> bytes:
    """The content of raw snappy."""
    size, at = _varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        kind, high = tag & 3, tag >> 2
        at += 1
        if kind == 0:
            length = high + 1
            if high >= 60:
                width = high - 59
                length = int.from_bytes(data[at : at + width], "little") + 1
                at += width
            out += data[at : at + length]
            at += length
            continue
        if kind == 1:
            length, offset = (high & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            length, offset = high + 1, int.from_bytes(data[at : at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def bootstrap(data: bytes, fork: Fork, committee: int) -> Json:
    """A LightClientBootstrap."""
    fields = _Fields(data)
    header = fields.offset()
    return {
        "current_sync_committee": _committee(fields, committee),
        "current_sync_committee_branch": fields.branch(_depths(fork)[1]),
        "header": _header(data[header:]),
    }


def update(data: bytes, fork: Fork, committee: int) -> Json:
    """A LightClientUpdate."""
    fields = _Fields(data)
    attested = fields.offset()
    following = _committee(fields, committee)
    following_branch = fields.branch(_depths(fork)[1])
    final = fields.offset()
    return {
        "next_sync_committee": following,
        "next_sync_committee_branch": following_branch,
        "finality_branch": fields.branch(_depths(fork)[0]),
        "attested_header": _header(data[attested:final]),
        "finalized_header": _header(data[final:]),
        **_signature(fields, committee),
    }


def finality_update(data: bytes, fork: Fork, committee: int) -> Json:
    """A LightClientFinalityUpdate."""
    fields = _Fields(data)
    attested, final = fields.offset(), fields.offset()
    return {
        "finality_branch": fields.branch(_depths(fork)[0]),
        "attested_header": _header(data[attested:final]),
        "finalized_header": _header(data[final:]),
        **_signature(fields, committee),
    }


def optimistic_update(data: bytes, committee: int) -> Json:
    """A LightClientOptimisticUpdate."""
    fields = _Fields(data)
    attested = fields.offset()
    return {"attested_header": _header(data[attested:]), **_signature(fields, committee)}


class _Fields:
    """The fixed part of a container, field after field."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        self._at += size
        assert self._at <= len(self._data)
        return self._data[self._at - size : self._at]

    def hex(self, size: int) -> str:
        return "0x" + self.take(size).hex()

    def uint(self, size: int = 8) -> str:
        return str(int.from_bytes(self.take(size), "little"))

    def offset(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def branch(self, depth: int) -> list[str]:
        return [self.hex(32) for _ in range(depth)]


def _depths(fork: Fork) -> tuple[int, int]:
    return _BRANCHES[max(known for known in _BRANCHES if known <= fork)]


def _committee(fields: _Fields, size: int) -> Json:
    return {"pubkeys": [fields.hex(48) for _ in range(size)], "aggregate_pubkey": fields.hex(48)}


def _signature(fields: _Fields, committee: int) -> Json:
    aggregate = {"sync_committee_bits": fields.hex(committee // 8), "sync_committee_signature": fields.hex(96)}
    return {"sync_aggregate": aggregate, "signature_slot": fields.uint()}


def _header(data: bytes) -> Json:
    fields = _Fields(data)
    beacon = {"slot": fields.uint(), "proposer_index": fields.uint()}
    beacon |= {name: fields.hex(32) for name in ("parent_root", "state_root", "body_root")}
    execution = fields.offset()
    branch = fields.branch(4)
    return {"beacon": beacon, "execution": dict(_execution(data[execution:])), "execution_branch": branch}


def _execution(data: bytes) -> Iterator[tuple[str, str]]:
    fields = _Fields(data)
    yield "parent_hash", fields.hex(32)
    yield "fee_recipient", fields.hex(20)
    yield "state_root", fields.hex(32)
    yield "receipts_root", fields.hex(32)
    yield "logs_bloom", fields.hex(256)
    yield "prev_randao", fields.hex(32)
    for name in ("block_number", "gas_limit", "gas_used", "timestamp"):
        yield name, fields.uint()
    extra = fields.offset()
    yield "base_fee_per_gas", fields.uint(32)
    for name in ("block_hash", "transactions_root", "withdrawals_root"):
        yield name, fields.hex(32)
    for name in ("blob_gas_used", "excess_blob_gas"):
        yield name, fields.uint()
    yield "extra_data", "0x" + data[extra:].hex()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7

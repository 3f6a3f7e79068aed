"""Execution block headers: parsed, and their hash recomputed from their fields.

Owns the header's field order for every fork (execution-specs, `ethereum/*/blocks.py`). Must not know whether a header
is canonical or final: a header that hashes to what it claims is one that somebody could have mined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chains.errors import HeaderMismatch, MalformedProof
from chains.proofs import parse, rlp
from chains.proofs.keccak import keccak
from chains.types import Address, Hash32, Height, UnixSeconds

MAX_EXTRA_DATA = 32 * 1024
"""Bytes of `extraData`: 32 on mainnet; chains of a known set of validators keep it there, with thousands."""

_QUANTITY = None
_ANY_LENGTH = -1

# Each field in the order of the hash, by its JSON name; its size in bytes if it is data.
_FIELDS: tuple[tuple[str, int | None], ...] = (
    ("parentHash", 32),
    ("sha3Uncles", 32),
    ("miner", 20),
    ("stateRoot", 32),
    ("transactionsRoot", 32),
    ("receiptsRoot", 32),
    ("logsBloom", 256),
    ("difficulty", _QUANTITY),
    ("number", _QUANTITY),
    ("gasLimit", _QUANTITY),
    ("gasUsed", _QUANTITY),
    ("timestamp", _QUANTITY),
    ("extraData", _ANY_LENGTH),
    ("mixHash", 32),
    ("nonce", 8),
    ("baseFeePerGas", _QUANTITY),
    ("withdrawalsRoot", 32),
    ("blobGasUsed", _QUANTITY),
    ("excessBlobGas", _QUANTITY),
    ("parentBeaconBlockRoot", 32),
    ("requestsHash", 32),
    ("blockAccessListHash", 32),
    ("slotNumber", _QUANTITY),
)

_FEWEST = 15
"""How many of them a header has at least. London has 16, Shanghai 17, Cancun 20, Prague 21; some stop between."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header whose `hash` is keccak of the RLP of its fields. What a fork did not have yet is `None`.

    `base_fee` is in wei a unit of gas; `timestamp` is in Unix seconds as the block's proposer stated it.
    """

    hash: Hash32
    parent_hash: Hash32
    number: Height
    timestamp: UnixSeconds
    state_root: Hash32
    transactions_root: Hash32
    receipts_root: Hash32
    logs_bloom: bytes
    miner: Address
    gas_limit: int
    gas_used: int
    extra_data: bytes
    mix_hash: Hash32
    base_fee: int | None
    withdrawals_root: Hash32 | None
    parent_beacon_block_root: Hash32 | None
    requests_hash: Hash32 | None


def verify_header(block: object, expected: Hash32 | None = None) -> Header:
    """The header in `block`, as `eth_getBlockByNumber` gives it, if it hashes to the hash it claims.

    `expected` is the hash that it must have, if the caller knows it. What the hash does not cover (size, uncles,
    transactions, totalDifficulty, a chain's own extras) is ignored. Raises `HeaderMismatch`, `MalformedProof` or
    `OversizedProof`.
    """
    fields = parse.mapping(block, "block")
    claimed = parse.hash32(fields.get("hash"), "block.hash")
    if expected is not None and claimed != expected:
        raise HeaderMismatch("block is another than was asked for", claimed=claimed, expected=expected)
    items = _items(fields)
    # All of them first. A client may show a later fork's field that its chain does not hash yet.
    for count in range(len(items), _FEWEST - 1, -1):
        if keccak(rlp.encode(items[:count])) == claimed:
            return _header(items[:count], claimed)
    computed = keccak(rlp.encode(items))
    raise HeaderMismatch("block does not hash to its claimed hash", claimed=claimed, computed=computed)


def decode_header(encoded: bytes) -> Header:
    """The header that `encoded`, its RLP, stands for."""
    items = rlp.decode_list(encoded, "header", max_size=MAX_EXTRA_DATA + 1024)
    if not _FEWEST <= len(items) <= len(_FIELDS):
        raise MalformedProof("header has a number of fields that no fork had", fields=len(items))
    checked: list[bytes] = []
    for (name, size), item in zip(_FIELDS, items, strict=False):
        if size is _QUANTITY:
            checked.append(rlp.uint_bytes(rlp.as_uint(item, name)))
        else:
            checked.append(rlp.as_bytes(item, name, None if size == _ANY_LENGTH else size))
    return _header(checked, keccak(encoded))


def check_linked(headers: Sequence[Header]) -> None:
    """Raise `HeaderMismatch` unless each header is the parent of the next."""
    for parent, child in pairwise(headers):
        if child.parent_hash != parent.hash or child.number != parent.number + 1:
            raise HeaderMismatch(
                "header is not the child of the one before it",
                number=child.number,
                parent_hash=child.parent_hash,
                before=parent.hash,
            )


def _items(fields: Mapping[str, object]) -> list[bytes]:
    """The fields up to the first that is not there."""
    items: list[bytes] = []
    for index, (name, size) in enumerate(_FIELDS):
        value = fields.get(name)
        if value is None and index >= _FEWEST:
            break
        what = f"block.{name}"
        if size is _QUANTITY:
            items.append(rlp.uint_bytes(parse.quantity(value, what)))
        elif size == _ANY_LENGTH:
            items.append(parse.data(value, what, most=MAX_EXTRA_DATA))
        else:
            items.append(parse.data(value, what, most=size, size=size))
    return items


def _header(items: Sequence[bytes], block_hash: Hash32) -> Header:
    by_name = {name: item for (name, _), item in zip(_FIELDS, items, strict=False)}
    root = {name: Hash32(item) for name, item in by_name.items() if len(item) == 32}
    base_fee = by_name.get("baseFeePerGas")
    return Header(
        hash=block_hash,
        parent_hash=root["parentHash"],
        number=Height(int.from_bytes(by_name["number"], "big")),
        timestamp=UnixSeconds(int.from_bytes(by_name["timestamp"], "big")),
        state_root=root["stateRoot"],
        transactions_root=root["transactionsRoot"],
        receipts_root=root["receiptsRoot"],
        logs_bloom=by_name["logsBloom"],
        miner=Address(by_name["miner"]),
        gas_limit=int.from_bytes(by_name["gasLimit"], "big"),
        gas_used=int.from_bytes(by_name["gasUsed"], "big"),
        extra_data=by_name["extraData"],
        mix_hash=root["mixHash"],
        base_fee=None if base_fee is None else int.from_bytes(base_fee, "big"),
        withdrawals_root=root.get("withdrawalsRoot"),
        parent_beacon_block_root=root.get("parentBeaconBlockRoot"),
        requests_hash=root.get("requestsHash"),
    )

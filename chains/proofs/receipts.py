"""Receipts: their canonical encoding, their root, and the logs that they prove.

Owns the receipt's form for every transaction type (EIP-2718, EIP-658; deposits as in the OP-stack specification) and
the bloom filter of a header. Must not know what an event means. A log is returned only from a receipt whose place
under a receipts root is proven; positions and hashes that JSON gives beside a receipt are not read at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chains.errors import MalformedProof, ProofInvalid
from chains.proofs import mpt, parse, rlp
from chains.proofs.build import ordered_root
from chains.proofs.keccak import keccak
from chains.types import Address, Hash32

MAX_RECEIPTS = 65_536
MAX_LOGS = 65_536
MAX_TOPICS = 4
MAX_RECEIPT_SIZE = rlp.MAX_SIZE
"""Bytes of one receipt: log data cost 8 gas a byte, so that a block of 100 million gas stays below."""

DEPOSIT = 0x7E
"""The transaction type of OP-stack deposits, whose receipts may say a deposit nonce and a version."""


@dataclass(frozen=True, slots=True)
class Log:
    """An event as its contract emitted it."""

    address: Address
    topics: tuple[Hash32, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction of `type` (0 is legacy) did.

    `outcome` is the status (1 or nothing), or before Byzantium the 32-byte state root. `gas_used` is the block's up to
    and with this transaction. `deposit` are the nonce and the version of an OP-stack deposit since Canyon.
    """

    type: int
    outcome: bytes
    gas_used: int
    bloom: bytes
    logs: tuple[Log, ...]
    deposit: tuple[int, ...] = ()

    @property
    def succeeded(self) -> bool | None:
        """Whether the transaction did what it was to do; `None` before Byzantium, when receipts did not say."""
        return None if len(self.outcome) == 32 else bool(self.outcome)


def verify_receipts(receipts_root: Hash32, receipts: object) -> tuple[Receipt, ...]:
    """All receipts of a block, as `eth_getBlockReceipts` gives them, if they have the root that its header says.

    Complete: a receipt or a log that is left out, moved or altered is `ProofInvalid`.
    """
    entries = parse.sequence(receipts, "receipts", MAX_RECEIPTS)
    parsed = tuple(parse_receipt(entry, f"receipts[{index}]") for index, entry in enumerate(entries))
    computed = ordered_root([encode_receipt(receipt) for receipt in parsed])
    if computed != receipts_root:
        raise ProofInvalid(
            "receipts are not those of the block", receipts=len(parsed), computed=computed, expected=receipts_root
        )
    return parsed


def prove_receipt(receipts_root: Hash32, index: int, proof: list[bytes]) -> Receipt | None:
    """The receipt of the block's transaction `index`, or `None` if it is proven that the block has none there."""
    key = rlp.encode(rlp.uint_bytes(index))
    encoded = mpt.lookup(receipts_root, key, proof, max_node_size=MAX_RECEIPT_SIZE)
    return None if encoded is None else decode_receipt(encoded)


def parse_receipt(value: object, field: str = "receipt") -> Receipt:
    """A receipt in the form of the JSON RPC; `field` names it in errors. Proves nothing by itself."""
    fields = parse.mapping(value, field)
    kind = parse.quantity(fields["type"], f"{field}.type", bits=7) if "type" in fields else 0
    if fields.get("status") is not None:
        outcome = rlp.uint_bytes(parse.quantity(fields["status"], f"{field}.status", bits=1))
    else:
        outcome = parse.hash32(fields.get("root"), f"{field}.status or .root")
    logs = parse.sequence(fields.get("logs"), f"{field}.logs", MAX_LOGS)
    return Receipt(
        type=kind,
        outcome=outcome,
        gas_used=parse.quantity(fields.get("cumulativeGasUsed"), f"{field}.cumulativeGasUsed", bits=64),
        bloom=parse.data(fields.get("logsBloom"), f"{field}.logsBloom", most=256, size=256),
        logs=tuple(_parse_log(log, f"{field}.logs[{index}]") for index, log in enumerate(logs)),
        deposit=_parse_deposit(fields, field) if kind == DEPOSIT else (),
    )


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes that the receipts trie holds."""
    logs = tuple((log.address, log.topics, log.data) for log in receipt.logs)
    deposit = tuple(map(rlp.uint_bytes, receipt.deposit))
    payload = rlp.encode((receipt.outcome, rlp.uint_bytes(receipt.gas_used), receipt.bloom, logs, *deposit))
    return bytes((receipt.type,)) + payload if receipt.type else payload


def decode_receipt(encoded: bytes) -> Receipt:
    """The receipt that a value of the receipts trie stands for."""
    typed = bool(encoded) and encoded[0] < 0x80
    kind = encoded[0] if typed else 0
    if typed and kind == 0:
        raise MalformedProof("receipt states type 0, which is written without a type")
    items = rlp.decode_list(encoded[typed:], "receipt")
    if len(items) != 4 and (kind != DEPOSIT or len(items) != 6):
        raise MalformedProof("receipt has a wrong number of fields", fields=len(items), type=kind)
    outcome = rlp.as_bytes(items[0], "outcome")
    if outcome not in {b"", b"\1"} and len(outcome) != 32:
        raise MalformedProof("receipt has neither a status nor a state root", outcome=outcome)
    logs = _as_list(items[3], "logs")
    return Receipt(
        type=kind,
        outcome=outcome,
        gas_used=rlp.as_uint(items[1], "cumulative gas", 8),
        bloom=rlp.as_bytes(items[2], "bloom", 256),
        logs=tuple(decode_log(log) for log in logs),
        deposit=tuple(rlp.as_uint(item, "deposit nonce or version", 8) for item in items[4:]),
    )


def decode_log(item: rlp.Item) -> Log:
    """The log that a decoded item of a receipt stands for."""
    parts = _as_list(item, "log")
    if len(parts) != 3:
        raise MalformedProof("log does not have three fields", fields=len(parts))
    topics = _as_list(parts[1], "topics")
    if len(topics) > MAX_TOPICS:
        raise MalformedProof("log has more topics than there are", topics=len(topics))
    return Log(
        address=Address(rlp.as_bytes(parts[0], "log address", 20)),
        topics=tuple(Hash32(rlp.as_bytes(topic, "topic", 32)) for topic in topics),
        data=rlp.as_bytes(parts[2], "log data"),
    )


def bloom_may_contain(bloom: bytes, item: bytes) -> bool:
    """Whether a block with this bloom filter can have a log from address, or with topic, `item`.

    False is certain once the header is verified; true is true by chance for some that have none.
    """
    digest = keccak(item)
    bits = int.from_bytes(bloom, "big")
    return all(bits >> (int.from_bytes(digest[at : at + 2], "big") & 2047) & 1 for at in (0, 2, 4))


def logs_bloom(logs: Sequence[Log]) -> bytes:
    """The bloom filter of `logs`, 256 bytes, for receipts that we make ourselves."""
    bits = 0
    for log in logs:
        for item in (log.address, *log.topics):
            digest = keccak(item)
            for at in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits.to_bytes(256, "big")


def _parse_log(value: object, field: str) -> Log:
    fields = parse.mapping(value, field)
    topics = parse.sequence(fields.get("topics"), f"{field}.topics", MAX_TOPICS)
    return Log(
        address=parse.address(fields.get("address"), f"{field}.address"),
        topics=tuple(parse.hash32(topic, f"{field}.topics[{index}]") for index, topic in enumerate(topics)),
        data=parse.data(fields.get("data"), f"{field}.data", most=MAX_RECEIPT_SIZE),
    )


def _parse_deposit(fields: Mapping[str, object], field: str) -> tuple[int, ...]:
    """The two last fields of a deposit's receipt. Before Canyon a nonce was told but not hashed."""
    version = fields.get("depositReceiptVersion")
    if version is None:
        return ()
    nonce = parse.quantity(fields.get("depositNonce"), f"{field}.depositNonce", bits=64)
    return nonce, parse.quantity(version, f"{field}.depositReceiptVersion", bits=64)


def _as_list(item: rlp.Item, what: str) -> list[rlp.Item]:
    if not isinstance(item, list):
        raise MalformedProof(f"{what} is a byte string, not a list")
    return item

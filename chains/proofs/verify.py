"""Proofs as saved files: verified offline, by kind, with the proven values in plain JSON.

Owns the file forms and the JSON of the answers. Must not read files or print: it takes what was parsed.

| kind | file |
| --- | --- |
| `header` | a block as `eth_getBlockByNumber` gives it |
| `eip1186` | `{"header": that, "proof": what eth_getProof gives}` |
| `receipts` | `{"header": that, "receipts": what eth_getBlockReceipts gives}`, or one receipt's proof: |
| | `{"header": that, "receipt_index", "proof", "receipt", "log_index", "log", "block_hash"}` |
| `sync-committee` | a light client's run, see `lightclient.file` |
| `output-root` | an OP-stack chain's output, see `output_root` |

In one receipt's proof only `receipt_index` and `proof` are required, and hexadecimal goes with and without `0x`; a
claim that is there has to hold. Without a header its result is relative to the root that its first node hashes to,
which the answer states, with `block` null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chains.errors import ClaimMismatch, InputError, MalformedProof, ProofIncomplete
from chains.proofs import parse, rlp
from chains.proofs.eip1186 import claimed_slots, verify_proof_response
from chains.proofs.header import Header, verify_header
from chains.proofs.keccak import keccak
from chains.proofs.lightclient.file import verify_sync_committee
from chains.proofs.output_root import verify_output_root
from chains.proofs.receipts import (
    MAX_RECEIPT_SIZE,
    Log,
    Receipt,
    decode_log,
    encode_receipt,
    prove_receipt,
    verify_receipts,
)
from chains.types import Hash32

Json = dict[str, object]

_MAX_PROOF_NODES = 17
"""Nodes in one receipt's proof: its key is at most 8 bytes."""


def verify_file(kind: str, data: object) -> Json:
    """What the parsed JSON file `data` of `kind` proves: hashes and bytes as 0x-strings, integers as 0x-quantities.

    Raises `InputError` for an unknown kind, and a `ProofError` with its reason if the file does not hold.
    """
    verify = KINDS.get(kind)
    if verify is None:
        raise InputError(f"no such kind of proof; there are {', '.join(KINDS)}", kind=kind)
    return verify(data)


def _verify_header(data: object) -> Json:
    return {"block": _block(verify_header(data))}


def _verify_eip1186(data: object) -> Json:
    file = parse.mapping(data, "file")
    header = verify_header(file.get("header"))
    response = parse.mapping(file.get("proof"), "proof")
    address = parse.address(response.get("address"), "proof.address")
    proven = verify_proof_response(header.state_root, address, claimed_slots(response), response)
    account = proven.account
    return {
        "block": _block(header),
        "address": _hex(address),
        "present": account is not None,
        "account": account
        and {
            "nonce": hex(account.nonce),
            "balance": hex(account.balance),
            "code_hash": _hex(account.code_hash),
            "storage_hash": _hex(account.storage_hash),
        },
        "slots": {_hex(slot): hex(value) for slot, value in proven.slots.items()},
    }


def _verify_receipts(data: object) -> Json:
    file = parse.mapping(data, "file")
    if "receipts" not in file:
        return _verify_receipt(file)
    header = verify_header(file.get("header"))
    receipts = verify_receipts(header.receipts_root, file["receipts"])
    _check_places(header, file["receipts"], receipts)
    return {"block": _block(header), "receipts": [_receipt(receipt) for receipt in receipts]}


def _check_places(header: Header, entries: object, receipts: Sequence[Receipt]) -> None:
    """Refuse the block or the position that an entry claims for its receipt or a log, if it has another."""
    before = 0
    for index, (entry, receipt) in enumerate(
        zip(parse.sequence(entries, "receipts", len(receipts)), receipts, strict=True)
    ):
        fields = parse.mapping(entry, "receipt")
        place: dict[str, Hash32 | int] = {
            "blockHash": header.hash,
            "blockNumber": header.number,
            "transactionIndex": index,
        }
        _check_place(fields, f"receipts[{index}]", place)
        for position, log in enumerate(parse.sequence(fields["logs"], "logs", len(receipt.logs))):
            _check_place(
                parse.mapping(log, "log"),
                f"receipts[{index}].logs[{position}]",
                place | {"logIndex": before + position},
            )
        before += len(receipt.logs)


def _check_place(fields: Mapping[str, object], field: str, place: Mapping[str, Hash32 | int]) -> None:
    for name, proven in place.items():
        if fields.get(name) is not None:
            read = parse.quantity if isinstance(proven, int) else parse.hash32
            if (claimed := read(fields[name], f"{field}.{name}")) != proven:
                raise ClaimMismatch(f"claimed {field}.{name} is not the proven one", claimed=claimed, proven=proven)


def _verify_receipt(file: Mapping[str, object]) -> Json:
    proof = [
        _loose_hex(node, f"proof[{index}]")
        for index, node in enumerate(parse.sequence(file.get("proof"), "proof", _MAX_PROOF_NODES))
    ]
    header = verify_header(file["header"]) if "header" in file else None
    if header is None and not proof:
        raise ProofIncomplete("receipt's proof has neither a header nor a node; add the block's header")
    root = header.receipts_root if header else keccak(proof[0])
    index = _index(file.get("receipt_index"), "receipt_index")
    receipt = prove_receipt(root, index, proof)
    _check_claims(file, header, receipt)
    return {
        "block": header and _block(header),
        "receipts_root": _hex(root),
        "receipt_index": index,
        "present": receipt is not None,
        "receipt": receipt and _receipt(receipt),
    }


def _check_claims(file: Mapping[str, object], header: Header | None, receipt: Receipt | None) -> None:
    """Refuse a block hash, a receipt or a log that is claimed beside the proof and is not what it proves."""
    if header and "block_hash" in file and _loose_hex(file["block_hash"], "block_hash") != header.hash:
        raise ClaimMismatch("claimed block hash is not the header's", proven=header.hash)
    if "receipt" in file:
        claimed = _loose_hex(file["receipt"], "receipt")
        if receipt is None or encode_receipt(receipt) != claimed:
            raise ClaimMismatch("claimed receipt is not the proven one", claimed=claimed)
    if "log" in file:
        log = decode_log(rlp.decode(_loose_hex(file["log"], "log")))
        position = _index(file.get("log_index"), "log_index")
        if receipt is None or position >= len(receipt.logs) or receipt.logs[position] != log:
            raise ClaimMismatch("claimed log is not at its index in the proven receipt", log_index=position)


def _index(value: object, field: str) -> int:
    if isinstance(value, str):
        return parse.quantity(value, field, bits=32)
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise MalformedProof(f"{field} is not an index", got=value)
    return value


def _loose_hex(value: object, field: str) -> bytes:
    prefixed = f"0x{value}" if isinstance(value, str) and not value.startswith("0x") else value
    return parse.data(prefixed, field, most=MAX_RECEIPT_SIZE)


def _block(header: Header) -> Json:
    return {
        "number": hex(header.number),
        "hash": _hex(header.hash),
        "parent_hash": _hex(header.parent_hash),
        "state_root": _hex(header.state_root),
        "transactions_root": _hex(header.transactions_root),
        "receipts_root": _hex(header.receipts_root),
        "timestamp": hex(header.timestamp),
    }


def _receipt(receipt: Receipt) -> Json:
    return {
        "type": hex(receipt.type),
        "succeeded": receipt.succeeded,
        "cumulative_gas_used": hex(receipt.gas_used),
        "logs": [_log(log) for log in receipt.logs],
    }


def _log(log: Log) -> Json:
    return {"address": _hex(log.address), "topics": [_hex(topic) for topic in log.topics], "data": _hex(log.data)}


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


KINDS: Mapping[str, Callable[[object], Json]] = {
    "eip1186": _verify_eip1186,
    "header": _verify_header,
    "output-root": verify_output_root,
    "receipts": _verify_receipts,
    "sync-committee": verify_sync_committee,
}
"""The verifier of each kind of file."""

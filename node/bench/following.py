"""What it costs to follow a vault of which 50 accounts change a block, by how many accounts it has.

Owns the blocks that are made up. Measured is what a node does with a block's answers: parse their JSON, hash the
header, rebuild the receipts' root, prove the vault and every touched slot, which are asked in the order of their trie
keys. Deposits only: an account's nonce slot is absent.
"""

from __future__ import annotations

import gc
import json
import random
import time
from statistics import median
from typing import Any

from chains import strict_json
from chains.evm.vault import balance_slot, nonce_slot
from chains.proofs import eip1186, rlp
from chains.proofs.build import Trie, ordered_root
from chains.proofs.eip1186 import Account, verify_proof_response
from chains.proofs.header import verify_header
from chains.proofs.keccak import keccak
from chains.proofs.mpt import NodeStore
from chains.proofs.receipts import encode_receipt, parse_receipt, verify_receipts
from chains.types import AccountId, Address, Hash32

CHANGES = 50
_BLOCKS = 9
_VAULT = Address(b"\x0a" * 20)
_TOKEN = Address(bytes(20))
_EMPTY = "0x" + "00" * 32


def measure(small: int, large: int) -> dict[str, float | None]:
    """Processor milliseconds a block with `large` accounts, and how many times those with `small` accounts that is."""
    few, many = _milliseconds(small), _milliseconds(large)
    return {"cost_growth": round(many / few, 2), "ms_per_block": round(many, 2)}


def _milliseconds(accounts: int) -> float:
    """The median of some blocks after the first, whose nodes are all new."""
    blocks = _blocks(accounts)  # made before anything is timed, so that making them leaves the caches alone
    gc.collect()
    store = NodeStore()
    taken = []
    for block, receipts, answer, slots in blocks:
        start = time.process_time()
        header = verify_header(strict_json.parse(block))
        verify_receipts(header.receipts_root, strict_json.parse(receipts))
        verify_proof_response(header.state_root, _VAULT, slots, strict_json.parse(answer), store)
        taken.append(time.process_time() - start)
    return 1000 * median(taken[1:])


def _blocks(accounts: int) -> list[tuple[bytes, bytes, bytes, list[Hash32]]]:
    """Some blocks: header, receipts and proof as JSON, and the slots that they touch."""
    chosen = random.Random(2)  # noqa: S311 - the same each time
    ids = [AccountId(keccak(n.to_bytes(4, "big"))) for n in range(accounts)]
    storage = {keccak(balance_slot(account, _TOKEN)): _value(chosen) for account in ids}
    blocks = []
    for number in range(1, _BLOCKS + 2):
        touched = chosen.sample(ids, CHANGES)
        storage |= {keccak(balance_slot(account, _TOKEN)): _value(chosen) for account in touched}
        blocks.append((*_block(number, storage, touched), _slots(touched)))
    return blocks


def _slots(touched: list[AccountId]) -> list[Hash32]:
    slots = [slot for account in touched for slot in (balance_slot(account, _TOKEN), nonce_slot(account))]
    return sorted(slots, key=keccak)


def _value(chosen: random.Random) -> bytes:
    return rlp.encode(rlp.uint_bytes(chosen.randrange(10**18, 10**21)))


def _block(number: int, storage: dict[Hash32, bytes], touched: list[AccountId]) -> tuple[bytes, bytes, bytes]:
    """A block in which each of `touched` deposits: its header, its receipts and the vault's proof, as JSON."""
    held = Trie(storage.items())
    vault = Account(1, 10**18, held.root, keccak(b"code"))
    leaf = eip1186.encode_account(vault)
    state = Trie([(keccak(_VAULT), leaf), *((keccak(bytes((n,))), leaf) for n in range(200))])
    receipts = [_receipt(index, account) for index, account in enumerate(touched)]
    block = _header(number, state.root, ordered_root([encode_receipt(parse_receipt(each)) for each in receipts]))
    answer = {
        "address": _hex(_VAULT),
        "accountProof": [_hex(node) for node in state.prove(keccak(_VAULT))],
        "nonce": "0x1",
        "balance": hex(10**18),
        "codeHash": _hex(vault.code_hash),
        "storageHash": _hex(held.root),
        "storageProof": [
            {
                "key": _hex(slot),
                "value": hex(rlp.decode_uint(storage.get(keccak(slot), b"\x80"), "value")),
                "proof": [_hex(node) for node in held.prove(keccak(slot))],
            }
            for slot in _slots(touched)
        ],
    }
    return _bytes(block), _bytes(receipts), _bytes(answer)


def _receipt(index: int, account: AccountId) -> dict[str, Any]:
    log = {
        "address": _hex(_VAULT),
        "topics": [_hex(keccak(b"Deposited")), _hex(account)],
        "data": _hex(bytes(63) + bytes((index,))),
    }
    return {
        "type": "0x2",
        "status": "0x1",
        "cumulativeGasUsed": hex(60_000 * (index + 1)),
        "logsBloom": "0x" + "00" * 256,
        "logs": [log],
    }


def _header(number: int, state_root: Hash32, receipts_root: Hash32) -> dict[str, Any]:
    data = {
        "parentHash": _EMPTY,
        "sha3Uncles": _EMPTY,
        "miner": "0x" + "00" * 20,
        "stateRoot": _hex(state_root),
        "transactionsRoot": _EMPTY,
        "receiptsRoot": _hex(receipts_root),
        "logsBloom": "0x" + "ff" * 256,
    }
    numbers = {
        "difficulty": 0,
        "number": number,
        "gasLimit": 36_000_000,
        "gasUsed": 3_000_000,
        "timestamp": number * 12,
    }
    rest = {"extraData": "0x", "mixHash": _EMPTY, "nonce": "0x" + "00" * 8}
    fields = [bytes.fromhex(each[2:]) for each in data.values()]
    fields += [rlp.uint_bytes(each) for each in numbers.values()]
    fields += [bytes.fromhex(each[2:]) for each in rest.values()]
    told = {name: hex(value) for name, value in numbers.items()}
    return {**data, **told, **rest, "hash": _hex(keccak(rlp.encode(fields)))}


def _bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def _hex(value: bytes) -> str:
    return "0x" + value.hex()

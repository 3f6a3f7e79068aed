"""A small chain state made here, with the JSON that an endpoint would answer about it."""

from typing import Any

from chains.proofs import rlp
from chains.proofs.build import Trie
from chains.proofs.eip1186 import Account, encode_account
from chains.proofs.keccak import EMPTY_CODE_HASH, keccak
from chains.proofs.mpt import EMPTY_ROOT
from chains.types import Address, Hash32

Json = dict[str, Any]

CONTRACT = Address(b"\xc0" * 20)
PLAIN = Address(b"\xee" * 20)
ABSENT = Address(b"\xaa" * 20)
CODE_HASH = keccak(b"code")
SLOTS = {Hash32(n.to_bytes(32)): 3**n for n in range(60)}
MISSING_SLOT = Hash32(b"\xff" * 32)

STORAGE = Trie((keccak(slot), rlp.encode(rlp.uint_bytes(value))) for slot, value in SLOTS.items())
ACCOUNTS = {
    CONTRACT: Account(nonce=1, balance=10**18, storage_hash=STORAGE.root, code_hash=CODE_HASH),
    PLAIN: Account(nonce=0, balance=5, storage_hash=EMPTY_ROOT, code_hash=EMPTY_CODE_HASH),
    **{
        Address(bytes((n,)) * 20): Account(nonce=n, balance=n, storage_hash=EMPTY_ROOT, code_hash=EMPTY_CODE_HASH)
        for n in range(100)
    },
}
STATE = Trie((keccak(address), encode_account(account)) for address, account in ACCOUNTS.items())


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def answer(address: Address, *slots: Hash32) -> Json:
    """What `eth_getProof` gives."""
    account = ACCOUNTS.get(address, Account(0, 0, EMPTY_ROOT, EMPTY_CODE_HASH))
    held = SLOTS if address == CONTRACT else {}
    storage = STORAGE if address == CONTRACT else Trie([])
    return {
        "address": hexed(address),
        "accountProof": [hexed(node) for node in STATE.prove(keccak(address))],
        "balance": hex(account.balance),
        "nonce": hex(account.nonce),
        "codeHash": hexed(account.code_hash),
        "storageHash": hexed(account.storage_hash),
        "storageProof": [
            {
                "key": hexed(slot),
                "value": hex(held.get(slot, 0)),
                "proof": [hexed(node) for node in storage.prove(keccak(slot))],
            }
            for slot in slots
        ],
    }


def block(**changes: object) -> Json:
    """What `eth_getBlockByNumber` gives, of Prague; its hash is right whatever `changes` are made."""
    fields: Json = {
        "parentHash": hexed(bytes(32)),
        "sha3Uncles": hexed(keccak(rlp.encode([]))),
        "miner": hexed(b"\x11" * 20),
        "stateRoot": hexed(STATE.root),
        "transactionsRoot": hexed(EMPTY_ROOT),
        "receiptsRoot": hexed(EMPTY_ROOT),
        "logsBloom": hexed(bytes(256)),
        "difficulty": "0x0",
        "number": "0x64",
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x5208",
        "timestamp": "0x67be0db3",
        "extraData": "0x616e76696c",
        "mixHash": hexed(b"\x22" * 32),
        "nonce": "0x0000000000000000",
        "baseFeePerGas": "0x7",
        "withdrawalsRoot": hexed(EMPTY_ROOT),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": hexed(b"\x33" * 32),
        "requestsHash": hexed(b"\x44" * 32),
    }
    fields |= changes
    items = []
    for name, value in fields.items():
        if value is None:
            continue
        digits = value[2:] if len(value) % 2 == 0 else "0" + value[2:]
        number = name in {"difficulty", "number", "timestamp", "slotNumber"} or "Gas" in name or "gas" in name
        items.append(rlp.uint_bytes(int(value, 16)) if number else bytes.fromhex(digits))
    return fields | {"hash": hexed(keccak(rlp.encode(items)))}

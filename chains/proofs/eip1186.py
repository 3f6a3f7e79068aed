"""EIP-1186: what `eth_getProof` claims of an account and its storage, against a state root.

Owns the account's encoding and the rule that every claimed figure is either proven or refused. Must not know where the
state root comes from, nor what a slot means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chains.errors import ClaimMismatch, MalformedProof, ProofIncomplete
from chains.proofs import batch, mpt, parse, rlp
from chains.proofs.keccak import EMPTY_CODE_HASH, hasher, keccak
from chains.proofs.mpt import EMPTY_ROOT, NodeStore
from chains.types import Address, Hash32

MAX_NODES = 65
"""Nodes in one proof: a hashed key has 64 nibbles."""

MAX_SLOTS = 16_384
"""Slots in one answer."""


_MANY = 8
"""From how many slots on their proofs are one pass, and not looked up in a store."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the state trie holds it; `balance` is in wei."""

    nonce: int
    balance: int
    storage_hash: Hash32
    code_hash: Hash32


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """Proven under one state root: the account, or `None` if it is absent, and each slot asked for.

    A slot that is absent holds zero, as on chain.
    """

    address: Address
    account: Account | None
    slots: Mapping[Hash32, int]


_ZERO = Hash32(bytes(32))
_ABSENT_FORMS = {(_ZERO, _ZERO), (EMPTY_CODE_HASH, EMPTY_ROOT)}
"""The (codeHash, storageHash) that clients give for an account that does not exist."""


def prove_account(
    state_root: Hash32, address: Address, proof: list[bytes], store: NodeStore | None = None
) -> Account | None:
    """The account at `address` under `state_root`, or `None` if it is proven absent."""
    leaf = mpt.lookup(state_root, keccak(address), proof, store)
    return None if leaf is None else decode_account(leaf)


def prove_slots(
    storage_hash: Hash32, proofs: Mapping[Hash32, list[bytes]], store: NodeStore | None = None
) -> dict[Hash32, int]:
    """The value of each slot under `storage_hash`, in ascending order of their trie keys; zero if proven absent.

    The slots share one walk: each distinct node is checked once.
    """
    by_key = {hasher(slot).digest(): slot for slot in proofs}
    keys = sorted(by_key)
    slots = [by_key[key] for key in keys]
    nodes = [proofs[slot] for slot in slots]
    leaves: Sequence[bytes | None]
    if len(keys) == 1:
        leaves = [mpt.lookup(storage_hash, keys[0], nodes[0], store)]
    elif store is None or len(keys) >= _MANY:  # many share their nodes among themselves, and one pass is cheaper
        leaves = batch.lookup_sorted(storage_hash, keys, nodes)
    else:
        walk = mpt.Walk(storage_hash, store)
        leaves = [walk.lookup(key, proof) for key, proof in zip(keys, nodes, strict=True)]
    return {
        slot: int.from_bytes(leaf[1:], "big")  # by far the most usual
        if leaf and 2 < (size := len(leaf)) <= 33 and leaf[0] == 0x7F + size and leaf[1]
        else _storage_value(leaf)
        for slot, leaf in zip(slots, leaves, strict=True)
    }


def _storage_value(leaf: bytes | None) -> int:
    return 0 if leaf is None else rlp.decode_uint(leaf, "storage value")


def verify_account(
    state_root: Hash32, address: Address, response: object, store: NodeStore | None = None
) -> Account | None:
    """The account that `response`, an answer to `eth_getProof`, proves; `None` if it proves that there is none.

    Every figure that the answer claims beside its proof has to be the proven one, else `ClaimMismatch`.
    """
    answer = parse.mapping(response, "proof")
    account_proof = parse.nodes(answer.get("accountProof"), "accountProof", MAX_NODES, mpt.MAX_NODE_SIZE)
    if "address" in answer:
        _same("address", parse.address(answer["address"], "address"), address, address)
    account = prove_account(state_root, address, account_proof, store)
    code_hash = parse.hash32(answer.get("codeHash"), "codeHash")
    storage_hash = parse.hash32(answer.get("storageHash"), "storageHash")
    _same("nonce", parse.quantity(answer.get("nonce"), "nonce"), account.nonce if account else 0, address)
    _same("balance", parse.quantity(answer.get("balance"), "balance"), account.balance if account else 0, address)
    if account:
        _same("codeHash", code_hash, account.code_hash, address)
        _same("storageHash", storage_hash, account.storage_hash, address)
    elif (code_hash, storage_hash) not in _ABSENT_FORMS:
        raise ClaimMismatch(
            "account is proven absent but code or storage is claimed for it",
            address=address,
            code_hash=code_hash,
            storage_hash=storage_hash,
        )
    return account


def verify_proof_response(
    state_root: Hash32,
    address: Address,
    slots: Sequence[Hash32],
    response: object,
    store: NodeStore | None = None,
) -> VerifiedProof:
    """All that `response`, an answer to `eth_getProof` for `address` and `slots`, proves under `state_root`.

    Each slot asked for has to be answered, else `ProofIncomplete`; one that was not asked for, two different answers
    for one, or a figure other than the proven one, is a `ClaimMismatch`.
    """
    account = verify_account(state_root, address, response, store)
    claims = _storage_claims(response)
    wanted = set(slots)
    missing = wanted - claims.keys()
    if missing:
        raise ProofIncomplete("storage proof leaves out slots", address=address, missing=min(missing))
    if len(claims) != len(wanted):
        raise ClaimMismatch("storage proof has slots that were not asked for", extra=min(claims.keys() - wanted))
    storage_hash = account.storage_hash if account else EMPTY_ROOT
    proven = prove_slots(storage_hash, {slot: proof for slot, (_, proof) in claims.items()}, store)
    for slot, value in proven.items():
        _same("value", claims[slot][0], value, address, slot=slot)
    return VerifiedProof(address, account, {slot: proven[slot] for slot in slots})


def claimed_slots(response: object) -> tuple[Hash32, ...]:
    """The slots that an answer to `eth_getProof` speaks of, in its order."""
    return tuple(_storage_claims(response))


def decode_account(leaf: bytes) -> Account:
    """The account that a leaf of the state trie holds."""
    items = rlp.decode_list(leaf, "account", max_size=mpt.MAX_NODE_SIZE)
    if len(items) != 4:
        raise MalformedProof("account does not have four fields", fields=len(items))
    return Account(
        nonce=rlp.as_uint(items[0], "nonce", 8),
        balance=rlp.as_uint(items[1], "balance"),
        storage_hash=Hash32(rlp.as_bytes(items[2], "storage root", 32)),
        code_hash=Hash32(rlp.as_bytes(items[3], "code hash", 32)),
    )


def encode_account(account: Account) -> bytes:
    """The leaf of the state trie that holds `account`."""
    nonce, balance = rlp.uint_bytes(account.nonce), rlp.uint_bytes(account.balance)
    return rlp.encode((nonce, balance, account.storage_hash, account.code_hash))


def _storage_claims(response: object) -> dict[Hash32, tuple[int, list[bytes]]]:
    answer = parse.mapping(response, "proof")
    claims: dict[Hash32, tuple[int, list[bytes]]] = {}
    before = parse.Nodes(MAX_NODES, mpt.MAX_NODE_SIZE)
    for index, entry in enumerate(parse.sequence(answer.get("storageProof"), "storageProof", MAX_SLOTS)):
        field = f"storageProof[{index}]"
        item = parse.mapping(entry, field)
        slot = parse.slot(item.get("key"), f"{field}.key")
        claim = (
            parse.quantity(item.get("value"), f"{field}.value"),
            before.next(item.get("proof"), f"{field}.proof"),
        )
        if claims.setdefault(slot, claim) != claim:  # who is asked twice answers twice, but not differently
            raise ClaimMismatch("storage proof answers a slot in two ways", slot=slot)
    return claims


def _same(field: str, claimed: object, proven: object, address: Address, **where: object) -> None:
    if claimed != proven:
        raise ClaimMismatch(
            f"claimed {field} is not the proven one", address=address, claimed=claimed, proven=proven, **where
        )

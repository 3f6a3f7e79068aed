"""What is asked of one endpoint, and the proof that its answer is true: the only way that raw data comes in.

Owns the JSON-RPC calls and the fault that each way of failing amounts to. Must not know which endpoint is asked, or
which headers are trusted: every question but the first two is about a header, or a hash, that the caller trusts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chains.errors import ClaimMismatch, ProofError, ProofInvalid
from chains.evm.endpoint import Call, Endpoint
from chains.evm.errors import MissingLog, UnknownBlock, WrongBlock, WrongChain
from chains.proofs import parse
from chains.proofs.eip1186 import Account, verify_account, verify_proof_response
from chains.proofs.header import Header, verify_header
from chains.proofs.keccak import keccak
from chains.proofs.mpt import NodeStore
from chains.proofs.receipts import Log, verify_receipts
from chains.types import Address, ChainId, Hash32, Height

SLOTS_A_CALL = 128
"""Storage keys in one `eth_getProof`; clients refuse more than 1,024, and providers fewer."""

MAX_CODE = 24_576
"""Bytes of a contract's code (EIP-170)."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract to prove, with the storage slots that are wanted of it."""

    address: Address
    slots: tuple[Hash32, ...] = ()


@dataclass(frozen=True, slots=True)
class Proven:
    """A contract as proven under a state root; every slot that was asked for has its word, zero if absent."""

    account: Account | None
    slots: Mapping[Hash32, int]


async def finalized_header(endpoint: Endpoint, chain_id: ChainId) -> Header:
    """The newest block that the endpoint calls final, hashed from its fields, and on the chain with this id.

    The id is asked for with every look: it costs no request, and a proxy may change what is behind it.
    """
    said, block = await endpoint.batch((Call("eth_chainId"), Call("eth_getBlockByNumber", ("finalized", False))))
    if (served := parse.quantity(said, "chainId")) != chain_id:
        raise WrongChain(f"{endpoint.name} serves another chain", served=served, expected=chain_id)
    return _header(endpoint, block, "finalized")


async def headers_at(endpoint: Endpoint, heights: Sequence[Height]) -> list[Header]:
    """The endpoint's blocks at `heights`, each hashed from its fields."""
    blocks = await endpoint.batch([Call("eth_getBlockByNumber", (hex(height), False)) for height in heights])
    headers = [_header(endpoint, block, height) for height, block in zip(heights, blocks, strict=True)]
    for height, header in zip(heights, headers, strict=True):
        if header.number != height:
            raise WrongBlock(f"{endpoint.name} serves another height", asked=height, served=header.number)
    return headers


async def header_of(endpoint: Endpoint, block_hash: Hash32) -> Header:
    """The endpoint's header with this hash: whoever serves it, it is the right one."""
    (block,) = await endpoint.batch((Call("eth_getBlockByHash", ("0x" + block_hash.hex(), False)),))
    if block is None:
        raise UnknownBlock(f"{endpoint.name} does not have the block", asked=block_hash)
    return verify_header(block, block_hash)


async def ancestors(endpoint: Endpoint, child: Header, count: int) -> list[Header]:
    """The `count` blocks below `child`, newest first, each proven by the parent hash of the one above it."""
    headers = await headers_at(endpoint, [Height(child.number - back) for back in range(1, count + 1)])
    for header in headers:
        if header.hash != child.parent_hash:
            raise WrongBlock(
                f"{endpoint.name} serves a block that is not the parent",
                height=header.number,
                served=header.hash,
                parent=child.parent_hash,
            )
        child = header
    return headers


async def proofs(endpoint: Endpoint, header: Header, contracts: Sequence[Contract], store: NodeStore) -> list[Proven]:
    """Each contract and its slots at `header`, by EIP-1186 proof against its state root. One HTTP request."""
    block = {"blockHash": "0x" + header.hash.hex()}
    calls = [
        Call("eth_getProof", ("0x" + contract.address.hex(), ["0x" + slot.hex() for slot in contract.slots], block))
        for contract in contracts
    ]
    found = []
    for contract, answer in zip(contracts, await endpoint.batch(calls), strict=True):
        if answer is None:
            raise UnknownBlock(f"{endpoint.name} does not have the block", height=header.number, block=header.hash)
        try:
            proof = verify_proof_response(header.state_root, contract.address, contract.slots, answer, store)
        except ProofError as error:
            raise _proof_fault(endpoint, header, contract, answer) or error from error
        found.append(Proven(proof.account, proof.slots))
    return found


async def codes(endpoint: Endpoint, header: Header, contracts: Mapping[Address, Hash32]) -> dict[Address, bytes]:
    """The code of each contract at `header`, by the hash that was proven for it. One HTTP request."""
    block = {"blockHash": "0x" + header.hash.hex()}
    calls = [Call("eth_getCode", ("0x" + contract.hex(), block)) for contract in contracts]
    found = {}
    for (contract, code_hash), answer in zip(contracts.items(), await endpoint.batch(calls), strict=True):
        found[contract] = parse.data(answer, "code", most=MAX_CODE)
        if (served := keccak(found[contract])) != code_hash:
            raise ClaimMismatch("code is not the contract's", contract=contract, claimed=served, proven=code_hash)
    return found


async def logs(endpoint: Endpoint, headers: Sequence[Header]) -> list[list[Log]]:
    """Every log of each of the blocks, in order. Complete: the receipts make up the header's receipts root."""
    calls = [Call("eth_getBlockReceipts", ("0x" + header.hash.hex(),)) for header in headers]
    found = []
    for header, answer in zip(headers, await endpoint.batch(calls), strict=True):
        if answer is None:
            raise UnknownBlock(f"{endpoint.name} does not have the block", height=header.number, block=header.hash)
        try:
            found.append([log for receipt in verify_receipts(header.receipts_root, answer) for log in receipt.logs])
        except ProofInvalid as error:
            raise MissingLog(
                f"{endpoint.name} leaves out or changes a receipt", height=header.number, **error.values
            ) from error
    return found


def _header(endpoint: Endpoint, block: object, asked: object) -> Header:
    if block is None:
        raise UnknownBlock(f"{endpoint.name} does not have the block", asked=asked)
    return verify_header(block)


def _proof_fault(endpoint: Endpoint, header: Header, contract: Contract, answer: object) -> WrongBlock | None:
    """A refused proof that holds under a root of its own is genuine, but of another block: say so."""
    try:
        fields = parse.mapping(answer, "proof")
        first = parse.data(parse.sequence(fields.get("accountProof"), "accountProof", 65)[:1][0], "node", most=1024)
        root = keccak(first)
        if root == header.state_root:
            return None
        verify_account(root, contract.address, answer)
    except (ProofError, IndexError):
        return None
    return WrongBlock(f"{endpoint.name} serves a proof of another block", height=header.number, its_root=root)

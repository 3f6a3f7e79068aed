"""Output roots of OP-stack chains: what one commits to, and what that is worth before the chain's L1 has settled it.

Owns the preimage (optimism specs, `protocol/proposals.md`, "L2 Output Commitment Construction"), its file form, and the
names of the finality classes. Must not know L1 contracts: an output root by itself is a claim that anybody can post.

File: `{"output", "header", "proof", "output_root"}`

- `header`: the rollup's block as `eth_getBlockByNumber` gives it, and `proof`: what `eth_getProof` gives for
  `0x4200000000000000000000000000000000000016` at that block (from Isthmus on, the header itself tells it, and `proof`
  may be left out); or, or beside it,
- `output`: as `optimism_outputAtBlock` gives it. Alone, it tells of the block but its hash and state root.

`output_root` is the root that was posted. Whatever is there has to agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from chains.errors import ClaimMismatch, MalformedProof, ProofIncomplete
from chains.proofs import parse
from chains.proofs.eip1186 import verify_account
from chains.proofs.header import Header, verify_header
from chains.proofs.keccak import keccak
from chains.types import Address, Hash32

MESSAGE_PASSER: Final = Address(bytes.fromhex("4200000000000000000000000000000000000016"))
"""The predeploy whose storage root an output commits to."""

_VERSION_0: Final = Hash32(bytes(32))


class RollupFinality(IntEnum):
    """How far the L1 has settled what a rollup says, weakest first. Never a boolean: a posted root is a claim."""

    CLAIMED = 0
    """The state is the root's, and for the root nobody has vouched yet."""
    SEQUENCER_SIGNED = 1
    """There is the sequencer's word alone, and it can give another.

    Its signature goes with a block between the rollup's own nodes, and endpoints do not give it: nobody here checks it.
    """
    PROPOSED = 2
    """Posted on L1 in the respected way, where it can still be challenged, or is not past its delay."""
    CHALLENGE_PASSED = 3
    """Resolved for the defender, of the respected type, not blacklisted or retired, and past its delay."""


@dataclass(frozen=True, slots=True)
class Output:
    """The preimage of an output root of version 0."""

    state_root: Hash32
    message_passer_storage_root: Hash32
    block_hash: Hash32

    def root(self) -> Hash32:
        """The output root."""
        return keccak(_VERSION_0 + self.state_root + self.message_passer_storage_root + self.block_hash)


def verify_output_root(data: object) -> dict[str, object]:
    """What the parsed file `data` proves: the root, and the block and state under it.

    Raises ProofIncomplete if it holds neither form, ClaimMismatch if parts of it disagree, and other ProofErrors.
    """
    file = parse.mapping(data, "file")
    header = verify_header(file["header"]) if "header" in file else None
    told = parse.mapping(file["output"], "output") if "output" in file else None
    if header is not None:
        output = Output(header.state_root, _storage_root(header, file), header.hash)
        if told is not None and _told(told, header.number) != output:
            raise ClaimMismatch("output is not that of the header and its state", proven=output)
    elif told is not None:
        output = _told(told, None)
    else:
        raise ProofIncomplete("file has neither an output nor a header", fields=sorted(file))
    root = output.root()
    if "output_root" in file and (claimed := parse.hash32(file["output_root"], "output_root")) != root:
        raise ClaimMismatch("claimed output root is not the proven one", claimed=claimed, proven=root)
    return {
        "output_root": _hex(root),
        "state_root": _hex(output.state_root),
        "message_passer_storage_root": _hex(output.message_passer_storage_root),
        "block_hash": _hex(output.block_hash),
        "block_number": None if header is None else hex(header.number),
        "finality": RollupFinality.CLAIMED.name,
    }


def _told(told: Mapping[str, object], number: int | None) -> Output:
    """What `optimism_outputAtBlock` tells, if its root is that of its parts and its block has this number, if given."""
    version = parse.hash32(told.get("version"), "output.version")
    if version != _VERSION_0:
        # Another version has another preimage: roots of several chains at once, for one.
        raise MalformedProof("output is of another version than 0", version=version)
    block = parse.mapping(told.get("blockRef"), "output.blockRef")
    output = Output(
        parse.hash32(told.get("stateRoot"), "output.stateRoot"),
        parse.hash32(told.get("withdrawalStorageRoot"), "output.withdrawalStorageRoot"),
        parse.hash32(block.get("hash"), "output.blockRef.hash"),
    )
    claimed = parse.hash32(told.get("outputRoot"), "output.outputRoot")
    if claimed != output.root():
        raise ClaimMismatch("output's root is not that of its parts", claimed=claimed, proven=output.root())
    if number is not None and block.get("number", number) != number:
        raise ClaimMismatch("output's block number is not the header's", claimed=block["number"], proven=number)
    return output


def told_storage_root(header: Header) -> Hash32 | None:
    """The storage root of the message passer, as an OP-stack header itself tells it from Isthmus on; None before."""
    # Isthmus, the rollup's Prague, put it where other chains have the root of their withdrawals.
    return header.withdrawals_root if header.requests_hash is not None else None


def _storage_root(header: Header, file: Mapping[str, object]) -> Hash32:
    """The storage root of the message passer in the block's state."""
    if "proof" in file:
        account = verify_account(header.state_root, MESSAGE_PASSER, file["proof"])
        if account is None:
            raise ClaimMismatch("block's state has no message passer; is it an OP-stack chain's?", block=header.hash)
        return account.storage_hash
    if (told := told_storage_root(header)) is not None:
        return told
    raise ProofIncomplete("file needs the proof of the message passer's account", block=header.hash)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()

"""What a statement is on its chain: the call that carries it out, and the questions whether somebody did so already.

Owns the encoding of our contracts' calls and errors. Must not know transactions, keys or transports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.contract import Contract

from chains.evm.contracts import ContractName, artifact
from chains.proofs.keccak import keccak
from chains.types import Address, ChainId, Hash32
from node.attestation.statements import Statement
from node.model.digests import ReleaseKind

_SHOWN = 64
"""Bytes of revert data that are not an error of ours."""


@dataclass(frozen=True, slots=True)
class Job:
    """One bound statement to be carried out on its chain. `header_hash` and `time_ms` are of the state it rests on."""

    statement: Statement
    packed: bytes
    header_hash: Hash32
    time_ms: int

    @property
    def chain_id(self) -> ChainId:
        return self.statement.chain_id

    @property
    def purpose(self) -> Hash32:
        """The name of the job in the outbox: the digest that was signed."""
        return self.statement.digest

    @property
    def to(self) -> Address:
        return self.statement.contract


@dataclass(frozen=True, slots=True)
class Call:
    """Call data for the job's contract."""

    data: bytes


@cache
def _codec(name: ContractName) -> type[Contract]:
    return Web3().eth.contract(abi=artifact(name).abi)


def execution(job: Job) -> Call:
    """The call that carries the job out: `accept` for a state, `withdraw` or `seize` for a release."""
    statement = job.statement
    release = statement.release
    if release is None:
        arguments: list[Any] = [statement.sequence, job.header_hash, job.time_ms, job.packed]
        return _encode("StateVerifier", "accept", arguments)
    function = "withdraw" if release.kind is ReleaseKind.WITHDRAWAL else "seize"
    order = (
        release.account,
        release.nonce,
        to_checksum_address(release.payee),
        [(to_checksum_address(token), amount, minimum) for token, amount, minimum in release.items],
        release.reference,
        release.sequence,
        release.header_hash,
        release.expiry,
    )
    return _encode("CollateralVault", function, [order, job.packed])


def progress_question(job: Job) -> Call:
    """The call whose first word tells how far the contract is: the latest sequence, or the account's nonce."""
    if job.statement.release is None:
        return _encode("StateVerifier", "latest", [])
    return _encode("CollateralVault", "nonces", [job.statement.account])


def already_done(job: Job, answer: bytes) -> bool:
    """Whether the answer to `progress_question` means that the job is done, or overtaken."""
    reached = int.from_bytes(answer[:32], "big")
    release = job.statement.release
    return reached >= (release.nonce if release is not None else job.statement.sequence)


def refusal(data: bytes) -> str:
    """What a contract's revert data says: the error of ours with its values, or the bytes that are none."""
    try:
        name, inputs = _errors()[data[:4]]
        values = decode([each["type"] for each in inputs], data[4:])
    except (KeyError, DecodingError):
        return f"0x{data[:_SHOWN].hex()}"
    named = (f"{each['name']}={_shown(value)}" for each, value in zip(inputs, values, strict=True))
    return f"{name}({', '.join(named)})"


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


@cache
def _errors() -> Mapping[bytes, tuple[str, list[dict[str, str]]]]:
    """Every error of our contracts by its selector."""
    abis = (artifact("CollateralVault").abi, artifact("StateVerifier").abi)
    entries = (entry for abi in abis for entry in abi if entry["type"] == "error")
    return {
        keccak(f"{entry['name']}({','.join(each['type'] for each in entry['inputs'])})".encode())[:4]: (
            entry["name"],
            entry["inputs"],
        )
        for entry in entries
    }


def _encode(name: ContractName, function: str, arguments: list[Any]) -> Call:
    return Call(bytes.fromhex(_codec(name).encode_abi(function, args=arguments)[2:]))

"""A chain to deploy on, a committee that signs, and the look of a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import coincurve
import pytest
from eth_abi.abi import decode
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractEvent, ContractFunction
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.logs import DISCARD
from web3.types import EventData, TxReceipt, Wei

from chains.evm.contracts import Artifact, ContractName, artifact
from tests.integration.contracts.digests import encode_signatures
from tests.tools import anvil

NATIVE = "0x" + "00" * 20
UNLIMITED = 2**112 - 1
GAS_LIMIT = 3_000_000
"""Given outright, so that a transaction that fails is mined and not refused by the estimate."""


@dataclass(frozen=True)
class Chain:
    """One anvil; its unlocked accounts pay."""

    web3: Web3

    @staticmethod
    def at(url: str) -> Chain:
        return Chain(Web3(Web3.HTTPProvider(url)))

    @property
    def chain_id(self) -> int:
        return self.web3.eth.chain_id

    @property
    def accounts(self) -> Sequence[str]:
        return self.web3.eth.accounts

    def rpc(self, method: str, *params: object) -> Any:  # noqa: ANN401
        return self.web3.manager.request_blocking(method, list(params))  # type: ignore[arg-type]

    def deploy(self, built: Artifact | ContractName, *arguments: object, sender: str | None = None) -> Contract:
        compiled = artifact(built) if isinstance(built, str) else built
        factory = self.web3.eth.contract(abi=compiled.abi, bytecode=compiled.bytecode)
        hash_ = factory.constructor(*arguments).transact({"from": sender or self.accounts[0], "gas": 10_000_000})
        receipt = self.web3.eth.wait_for_transaction_receipt(hash_, poll_latency=0.002)
        assert receipt["status"] == 1
        address = receipt["contractAddress"]
        assert address is not None
        return self.web3.eth.contract(address=address, abi=compiled.abi)

    def send(self, call: ContractFunction, *, sender: str | None = None, value: int = 0) -> TxReceipt:
        """Mine a call and demand that it succeeds."""
        receipt = self.attempt(call, sender=sender, value=value)
        assert receipt["status"] == 1, f"{call.fn_name} was refused"
        return receipt

    def attempt(self, call: ContractFunction, *, sender: str | None = None, value: int = 0) -> TxReceipt:
        payer = to_checksum_address(sender or self.accounts[0])
        hash_ = call.transact({"from": payer, "value": Wei(value), "gas": GAS_LIMIT})
        return self.web3.eth.wait_for_transaction_receipt(hash_, poll_latency=0.002)

    def now(self) -> int:
        return self.web3.eth.get_block("latest")["timestamp"]

    def at_time(self, moment: int) -> None:
        """Give the next block this time."""
        self.rpc("evm_setNextBlockTimestamp", moment)

    def pass_to(self, moment: int) -> None:
        """Mine an empty block at this time."""
        self.at_time(moment)
        self.rpc("evm_mine")

    def coins(self, holder: str) -> int:
        return self.web3.eth.get_balance(to_checksum_address(holder))

    def storage(self, contract: Contract, slot: int) -> int:
        return int.from_bytes(self.web3.eth.get_storage_at(contract.address, slot), "big")


@dataclass(frozen=True)
class Committee:
    """n signers of a configuration; distinct seeds give distinct keys."""

    n: int
    f: int
    seed: str = "first"
    keys: list[coincurve.PrivateKey] = field(init=False)

    def __post_init__(self) -> None:
        keys = [coincurve.PrivateKey(keccak(text=f"{self.seed} {index}")) for index in range(self.n)]
        object.__setattr__(self, "keys", keys)

    @property
    def config(self) -> bytes:
        return keccak(text=f"config of {self.seed}")

    @property
    def addresses(self) -> list[str]:
        return [to_checksum_address(keccak(key.public_key.format(compressed=False)[1:])[12:]) for key in self.keys]

    @property
    def quorum(self) -> int:
        return (self.n + self.f) // 2 + 1

    def sign(self, digest: bytes, signers: Iterable[int]) -> bytes:
        """The contracts' encoding of these signers' signatures."""
        return encode_signatures(self.signatures(digest, signers))

    def signatures(self, digest: bytes, signers: Iterable[int]) -> dict[int, bytes]:
        return {index: self.keys[index].sign_recoverable(digest, hasher=None) for index in signers}


@contextmanager
def running_chain(chain_id: int = 31337) -> Iterator[Chain]:
    """A fresh anvil, gone when the block is left."""
    with asyncio.Runner() as runner:
        running = anvil(chain_id)
        url = runner.run(running.__aenter__())
        try:
            yield Chain.at(url)
        finally:
            runner.run(running.__aexit__(None, None, None))


def events(kind: ContractEvent, receipt: TxReceipt) -> list[EventData]:
    """The events of this kind in a transaction, among whatever others."""
    return list(kind.process_receipt(receipt, errors=DISCARD))


@contextmanager
def refused(contract: Contract, error: str, **values: object) -> Iterator[None]:
    """The block must be refused with this error of the contract, and these of its values."""
    with pytest.raises(ContractLogicError) as caught:
        yield
    assert isinstance(caught.value, ContractCustomError), caught.value
    name, given = _decoded(contract, bytes.fromhex(str(caught.value.data).removeprefix("0x")))
    assert name == error, f"refused by {name}{given}"
    for label, value in values.items():
        assert given[label] == value, f"{error}.{label}"


def _decoded(contract: Contract, data: bytes) -> tuple[str, Mapping[str, object]]:
    for entry in contract.abi:
        if entry["type"] == "error":
            types = [parameter["type"] for parameter in entry["inputs"]]
            if function_signature_to_4byte_selector(f"{entry['name']}({','.join(types)})") == data[:4]:
                return entry["name"], dict(
                    zip((parameter["name"] for parameter in entry["inputs"]), decode(types, data[4:]), strict=True)
                )
    raise AssertionError(f"no error of the contract: {data.hex()}")

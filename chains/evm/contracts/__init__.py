"""The contracts' artifacts, as typed values: what it takes to deploy them and to know their code and storage.

Owns the reading of the checked-in files in `artifacts/` (package data, so an installed wheel has them). Must not know
how they are built (`build`), any chain, or any key. Sources and storage layouts: `src/*.sol`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NewType, cast, get_args

from chains.errors import InputError

ContractName = Literal["StateVerifier", "CollateralVault", "PriceFeed", "TestToken"]
Slot = NewType("Slot", int)
"""Index of a storage slot before any hashing: of a mapping, the one that its keys are hashed with."""

AbiEntry = Mapping[str, Any]
"""One entry of a contract's JSON ABI."""


class UnknownContract(InputError):
    """No artifact of that name, or no storage variable of that label in it."""

    reason = "UNKNOWN_CONTRACT"


@dataclass(frozen=True, slots=True)
class StorageVariable:
    """Where a variable lies: `offset` and `size` in bytes, counted from the low end of the slot.

    `members` are those of a struct, or of the struct that a mapping ends in; their slots count from its first slot.
    """

    label: str
    slot: Slot
    offset: int
    size: int
    type: str
    members: tuple[StorageVariable, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract.

    `runtime` is the deployed code with zeros where immutables go; `immutables` maps each to the (start, length) byte
    ranges that hold its word, so that the code of an instance can be foretold with `instance_code`.
    """

    name: ContractName
    abi: tuple[AbiEntry, ...]
    bytecode: bytes
    runtime: bytes
    immutables: Mapping[str, tuple[tuple[int, int], ...]]
    storage: tuple[StorageVariable, ...]

    def slot(self, label: str) -> Slot:
        """The slot of the storage variable `label`; raises UnknownContract."""
        for variable in self.storage:
            if variable.label == label:
                return variable.slot
        raise UnknownContract("the contract has no such storage variable", contract=self.name, label=label)

    def instance_code(self, immutables: Mapping[str, int]) -> bytes:
        """The code of an instance whose immutables have these values; give all, or it raises UnknownContract."""
        if immutables.keys() != self.immutables.keys():
            names = {"has": sorted(self.immutables), "given": sorted(immutables)}
            raise UnknownContract("give every immutable and no other", contract=self.name, **names)
        code = bytearray(self.runtime)
        for name, places in self.immutables.items():
            for start, length in places:
                code[start : start + length] = immutables[name].to_bytes(length, "big")
        return bytes(code)


@cache
def artifact(name: ContractName) -> Artifact:
    """The artifact of a contract of ours; raises UnknownContract."""
    if name not in get_args(ContractName):
        raise UnknownContract("there is no artifact of that name", contract=name, known=list(get_args(ContractName)))
    return parse_artifact((files(__name__) / "artifacts" / f"{name}.json").read_text(encoding="utf-8"))


def parse_artifact(text: str) -> Artifact:
    """An artifact from the text of its file, as `build` writes it."""
    raw = json.loads(text)
    return Artifact(
        name=cast("ContractName", raw["name"]),
        abi=tuple(raw["abi"]),
        bytecode=bytes.fromhex(raw["bytecode"].removeprefix("0x")),
        runtime=bytes.fromhex(raw["deployedBytecode"].removeprefix("0x")),
        immutables={
            name: tuple((start, length) for start, length in places) for name, places in raw["immutables"].items()
        },
        storage=tuple(_variable(entry) for entry in raw["storage"]),
    )


def _variable(raw: Mapping[str, Any]) -> StorageVariable:
    return StorageVariable(
        label=raw["label"],
        slot=Slot(raw["slot"]),
        offset=raw["offset"],
        size=raw["bytes"],
        type=raw["type"],
        members=tuple(_variable(member) for member in raw.get("members", ())),
    )

"""Digest vectors as the contracts tell them: `python -m tests.integration.contracts.vectors` writes digests.json.

Integers are decimal strings (some are beyond what a JSON number carries), bytes and addresses are lower-case hex.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.contract import Contract

from tests.integration.contracts.digests import Items, Release
from tests.integration.contracts.harness import NATIVE, UNLIMITED, Chain, Committee, running_chain

VECTORS = Path(__file__).parents[2] / "vectors" / "digests.json"
LARGEST_64 = 2**64 - 1
LARGEST_256 = 2**256 - 1

Vector = dict[str, Any]


@dataclass(frozen=True)
class Instance:
    """One network on one chain, and the numbers that go into its vectors."""

    chain_id: int
    committee: Committee
    sequence: int
    time_ms: int
    nonce: int
    expiry: int
    items: Items
    successor: Committee

    def bytes32(self, purpose: str) -> bytes:
        return keccak(text=f"{purpose} of {self.committee.seed}")


def address(text: str) -> str:
    return to_checksum_address(keccak(text=text)[12:])


INSTANCES = (
    Instance(31337, Committee(4, 1, "four"), 1, 1_700_000_000_123, 1, 1_700_000_060,
             ((NATIVE, 1, 0),), Committee(4, 1, "next four")),
    Instance(1, Committee(7, 2, "seven"), 4_242_424_242, 1_800_000_000_000, 77, 1_800_003_600,
             ((NATIVE, 10**18, 10**18), (address("usd"), 2_500_000_000, 2_400_000_001)),
             Committee(31, 10, "thirty-one")),
    Instance(2**63 - 25, Committee(31, 10, "large"), LARGEST_64, LARGEST_64, LARGEST_64, LARGEST_64,
             tuple((to_checksum_address(f"0x{(index + 1) * (2**160 // 17):040x}"), LARGEST_256 - index,
                    LARGEST_256 - 100 * index)
                   for index in range(16)), Committee(1, 0, "one")),
)  # fmt: skip


def generate() -> dict[str, list[Vector]]:
    """All vectors, by purpose, as freshly deployed contracts compute them."""
    vectors: dict[str, list[Vector]] = {}
    for instance in INSTANCES:
        with running_chain(instance.chain_id) as chain:
            for purpose, vector in _vectors_of(instance, chain).items():
                vectors.setdefault(purpose, []).append({name: _text(value) for name, value in vector.items()})
    return vectors


def _vectors_of(instance: Instance, chain: Chain) -> dict[str, Vector]:
    committee = instance.committee
    verifier = chain.deploy("StateVerifier", committee.config, committee.f, committee.addresses)
    network = instance.bytes32("network")
    vault = chain.deploy("CollateralVault", verifier.address, network, [NATIVE], [UNLIMITED], 60, 60, 60)
    place = {"config_digest": committee.config, "chain_id": instance.chain_id}
    return {
        "account": _account(instance, vault, network),
        "items": {"items": instance.items, "digest": vault.functions.itemsHash(instance.items).call()},
        "state": _state(instance, verifier, place | {"verifier": verifier.address}),
        "rotation": _rotation(instance, verifier, place | {"verifier": verifier.address}),
        "withdrawal": _release(instance, vault, "withdrawal", place | {"vault": vault.address}),
        "seizure": _release(instance, vault, "seizure", place | {"vault": vault.address}),
        "signatures": _signatures(instance, verifier),
    }


def _account(instance: Instance, vault: Contract, network: bytes) -> Vector:
    owner, salt = address(instance.committee.seed), instance.bytes32("salt")
    digest = vault.functions.accountId(owner, salt).call()
    return {"network_id": network, "first_address": owner, "salt": salt, "digest": digest}


def _state(instance: Instance, verifier: Contract, place: Vector) -> Vector:
    fields = {
        "sequence": instance.sequence, "header_hash": instance.bytes32("header"), "time_ms": instance.time_ms
    }  # fmt: skip
    return place | fields | {"digest": verifier.functions.stateDigest(*fields.values()).call()}


def _rotation(instance: Instance, verifier: Contract, place: Vector) -> Vector:
    new = instance.successor
    fields = {"new_config_digest": new.config, "new_f": new.f, "signers": new.addresses}
    return place | fields | {"digest": verifier.functions.rotationDigest(*fields.values()).call()}


def _release(instance: Instance, vault: Contract, purpose: str, place: Vector) -> Vector:
    release = Release(
        account=instance.bytes32("account"),
        nonce=instance.nonce,
        payee=address(f"payee of {instance.committee.seed}"),
        items=instance.items,
        reference=instance.bytes32(purpose),
        sequence=instance.sequence,
        header_hash=instance.bytes32("header"),
        expiry=instance.expiry,
    )
    function = vault.functions.withdrawalDigest if purpose == "withdrawal" else vault.functions.seizureDigest
    fields = {name: getattr(release, name) for name in Release.__slots__}
    return place | fields | {"digest": function(release.abi()).call()}


def _signatures(instance: Instance, verifier: Contract) -> Vector:
    """A quorum, the last signers of the set, over some digest; the contract takes the encoding."""
    committee, digest = instance.committee, instance.bytes32("digest")
    indices = list(range(committee.n - committee.quorum, committee.n))
    signed = committee.signatures(digest, indices)
    encoded = committee.sign(digest, indices)
    verifier.functions.checkQuorum(digest, encoded).call()
    by_signer = [{"index": index, "r_s_v": signed[index]} for index in indices]
    return {"signers": committee.addresses, "digest": digest, "signatures": by_signer, "encoded": encoded}


def _text(value: object) -> Any:  # noqa: ANN401
    match value:
        case bytes():
            return "0x" + value.hex()
        case int():
            return str(value)
        case str():
            return value.lower()
        case dict():
            return {name: _text(inner) for name, inner in value.items()}
        case (str(token), int(amount), int(minimum)):
            return {"token": token.lower(), "amount": str(amount), "minimum": str(minimum)}
        case list() | tuple():
            return [_text(inner) for inner in value]
        case _:
            raise TypeError(value)


def main() -> None:
    VECTORS.write_text(json.dumps(generate(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

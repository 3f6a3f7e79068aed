"""The digests and the signature encoding that the contracts check, written from their description alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from eth_utils.crypto import keccak

Items = tuple[tuple[str, int, int], ...]
"""(token address, amount, minimum)"""


def word(value: int | str) -> bytes:
    return (int(value, 16) if isinstance(value, str) else value).to_bytes(32, "big")


def tag(purpose: str) -> bytes:
    return keccak(text=f"hypothec.v1.{purpose}")


def account_id(network_id: bytes, first_address: str, salt: bytes) -> bytes:
    return keccak(tag("account") + network_id + word(first_address) + salt)


def items_hash(items: Items) -> bytes:
    return keccak(b"".join(word(part) for item in items for part in item))


def state_digest(config: bytes, chain_id: int, verifier: str, sequence: int, header_hash: bytes, time_ms: int) -> bytes:
    place = config + word(chain_id) + word(verifier)
    return keccak(tag("state") + place + word(sequence) + header_hash + word(time_ms))


def rotation_digest(
    config: bytes, chain_id: int, verifier: str, new_config: bytes, new_f: int, signers: Sequence[str]
) -> bytes:
    members = keccak(b"".join(word(signer) for signer in signers))
    return keccak(tag("rotation") + config + word(chain_id) + word(verifier) + new_config + word(new_f) + members)


@dataclass(frozen=True, slots=True)
class Release:
    """A withdrawal or a seizure, fields in the order of the contract's struct."""

    account: bytes
    nonce: int
    payee: str
    items: Items
    expiry: int
    reference: bytes = bytes([7]) * 32
    sequence: int = 41
    header_hash: bytes = bytes([9]) * 32

    def abi(self) -> tuple[object, ...]:
        about = self.reference, self.sequence, self.header_hash, self.expiry
        return self.account, self.nonce, self.payee, self.items, *about

    def but(self, **changes: object) -> Self:
        return replace(self, **changes)  # type: ignore[arg-type]

    def digest(self, purpose: str, config: bytes, chain_id: int, vault: str) -> bytes:
        return keccak(
            tag(purpose) + config + word(chain_id) + word(vault) + self.account + word(self.nonce) + word(self.payee)
            + items_hash(self.items) + self.reference + word(self.sequence) + self.header_hash + word(self.expiry)
        )  # fmt: skip


ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Of the group of secp256k1."""


def mirrored(s: bytes) -> bytes:
    """The s that signs the same with the other v."""
    return (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")


def encode_signatures(signatures: Mapping[int, bytes]) -> bytes:
    """From `r ‖ s ‖ recovery id` by signer index: the bitmask, then each r and the s that makes the recovery id 0."""
    bitmask = sum(1 << index for index in signatures)
    pairs = [(made[:32], made[32:64], made[64]) for _, made in sorted(signatures.items())]
    return bitmask.to_bytes(4, "big") + b"".join(r + (mirrored(s) if parity else s) for r, s, parity in pairs)

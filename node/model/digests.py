"""Every digest that is signed for a chain, and the EIP-712 hashing that owners' wallets sign.

The on-chain digests are abi.encode of static words under a purpose tag; the contracts compute the same bytes
(tests/vectors/digests.json holds vectors made by them). What nodes sign binds the network's configuration digest,
what owners and venues sign binds the immutable network id. Must not know how anything is signed or sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from chains.errors import LimitError
from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Amount, ChainId, Hash32
from node.model.codec import Malformed, Reader


def tag(purpose: str) -> bytes:
    """The 32-byte domain tag of a purpose: keccak("hypothec.v1." + purpose)."""
    return keccak(b"hypothec.v1." + purpose.encode())


def word(value: int | bytes) -> bytes:
    """A static ABI word: an unsigned integer or up to 32 bytes, left-padded. Raises LimitError."""
    if isinstance(value, int):
        if not 0 <= value < 1 << 256:
            raise LimitError("keep an ABI word within 0 and 2**256 - 1", value=value)
        return value.to_bytes(32, "big")
    if len(value) > 32:
        raise LimitError("keep an ABI word within 32 bytes", length=len(value))
    return value.rjust(32, b"\0")


def name_word(name: str) -> bytes:
    """A name of 1..31 printable ASCII characters as a right-padded word (a Solidity bytes32 string).

    Raises LimitError.
    """
    if not (0 < len(name) < 32 and name.isascii() and name.isprintable()):
        raise LimitError("use 1 to 31 printable ASCII characters in a name", name=name)
    return name.encode().ljust(32, b"\0")


def word_name(data: bytes) -> str:
    """The inverse of name_word; raises LimitError for anything else."""
    stripped = data.rstrip(b"\0")
    try:
        name = stripped.decode("ascii")
    except UnicodeDecodeError:
        raise LimitError("use printable ASCII in a name", name=data) from None
    if name_word(name) != data:
        raise LimitError("use a canonical name", name=data)
    return name


def read_name(reader: Reader) -> str:
    """Take a name; raises Malformed for one that does not fit a word, since no digest could be made of it."""
    name = reader.text()
    try:
        name_word(name)
    except LimitError as error:
        raise Malformed(error.message, **error.values) from error
    return name


class ReleaseKind(StrEnum):
    """Why collateral leaves a vault; the value is the purpose of its digest's tag."""

    WITHDRAWAL = "withdrawal"
    SEIZURE = "seizure"


_ACCOUNT = tag("account")
_STATE = tag("state")
_ROTATION = tag("rotation")
_RELEASE = {kind: tag(kind.value) for kind in ReleaseKind}


def account_id(network_id: Hash32, first: Address, salt: Hash32) -> AccountId:
    """The id of the margin account that `first` controls under `salt`."""
    return AccountId(keccak(_ACCOUNT + network_id + word(first) + salt))


def state_digest(
    config_digest: Hash32,
    chain_id: ChainId,
    verifier: Address,
    sequence: int,
    header_hash: Hash32,
    time_ms: int,
) -> Hash32:
    """What f+1 nodes sign so that the verifier on one chain accepts one margin state."""
    return Hash32(
        keccak(_STATE + config_digest + word(chain_id) + word(verifier) + word(sequence) + header_hash + word(time_ms))
    )


class ReleaseItem(NamedTuple):
    """`amount` of `token` by the vault's books, in base units.

    In a shortfall it pays less than that, but reverts where it would pay less than `minimum`.
    """

    token: Address
    amount: Amount
    minimum: Amount


def items_hash(items: Iterable[ReleaseItem]) -> Hash32:
    """The hash of a release's items, in order."""
    return Hash32(keccak(b"".join(word(part) for item in items for part in item)))


@dataclass(frozen=True, slots=True)
class Release:
    """One vault's order to pay `items` of `account` to `payee`: a withdrawal, or one leg of a seizure.

    `nonce` is the vault's next nonce of the account; the tokens of `items` ascend strictly; `expiry` is in unix
    seconds; `sequence` and `header_hash` name the margin state that the release rests on;
    `reference` is the request or plan that it carries out.
    """

    kind: ReleaseKind
    chain_id: ChainId
    vault: Address
    account: AccountId
    nonce: int
    payee: Address
    items: tuple[ReleaseItem, ...]
    reference: Hash32
    sequence: int
    header_hash: Hash32
    expiry: int

    def digest(self, config_digest: Hash32) -> Hash32:
        """What a quorum signs so that the vault pays."""
        return Hash32(
            keccak(
                _RELEASE[self.kind]
                + config_digest
                + word(self.chain_id)
                + word(self.vault)
                + self.account
                + word(self.nonce)
                + word(self.payee)
                + items_hash(self.items)
                + self.reference
                + word(self.sequence)
                + self.header_hash
                + word(self.expiry)
            )
        )


def rotation_digest(
    config_digest: Hash32,
    chain_id: ChainId,
    verifier: Address,
    new_config_digest: Hash32,
    new_f: int,
    signers: Sequence[Address],
) -> Hash32:
    """What a quorum of the old signers signs to hand one verifier to a new configuration."""
    return Hash32(
        keccak(
            _ROTATION
            + config_digest
            + word(chain_id)
            + word(verifier)
            + new_config_digest
            + word(new_f)
            + keccak(b"".join(word(signer) for signer in signers))
        )
    )


# === EIP-712 (https://eips.ethereum.org/EIPS/eip-712), for structs of static words ===

_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,bytes32 salt)")
_DOMAIN_NAME = keccak(b"Hypothec")
_DOMAIN_VERSION = keccak(b"1")


def struct_hash(type_string: str, *words: bytes) -> bytes:
    """The hashStruct of a type whose fields are already 32-byte words (arrays and structs: their hashes)."""
    return keccak(keccak(type_string.encode()) + b"".join(words))


def typed_digest(network_id: Hash32, hashed_struct: bytes) -> Hash32:
    """The EIP-712 digest under our domain: name "Hypothec", version "1", salt = network id; valid on no one chain."""
    domain = keccak(_DOMAIN_TYPE + _DOMAIN_NAME + _DOMAIN_VERSION + network_id)
    return Hash32(keccak(b"\x19\x01" + domain + hashed_struct))

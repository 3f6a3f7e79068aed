"""Building and signing what owners ask and venues report.

A signer is anything with an address that signs a digest: a raw key, an eth_account account, a wallet of your own.
Must not know services.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import coincurve

from chains.types import AccountId, Address, Amount, ChainId, Hash32
from node.model.digests import account_id
from node.model.reports import Report, ReportEntry
from node.model.requests import AuthorizeVenue, Link, LinkWallet, RevokeVenue, Unlink, WatchWallet, WithdrawalRequest
from node.model.signatures import address_of, sign

_NO_SALT = Hash32(bytes(32))
_BY_KEY = ChainId(0)


class Signer(Protocol):
    """Signs 32-byte digests for one Ethereum address."""

    @property
    def address(self) -> Address: ...

    def sign(self, digest: Hash32) -> bytes:
        """65 bytes: r, s (low form), v (27 or 28)."""


class LocalKey:
    """A signer that holds its 32-byte secp256k1 key in memory."""

    def __init__(self, secret: bytes) -> None:
        self._key = coincurve.PrivateKey(secret)

    @property
    def address(self) -> Address:
        return address_of(self._key.public_key)

    def sign(self, digest: Hash32) -> bytes:
        return sign(self._key, digest)


class EthAccount:
    """A signer around an `eth_account` LocalAccount."""

    def __init__(self, account: Any) -> None:  # noqa: ANN401 - eth_account is typed loosely and is not imported here
        self._account = account

    @property
    def address(self) -> Address:
        return Address(bytes.fromhex(self._account.address[2:]))

    def sign(self, digest: Hash32) -> bytes:
        return bytes(self._account.unsafe_sign_hash(digest).signature)


def link(
    network_id: Hash32,
    owner: Signer,
    collateral: Sequence[str],
    nonce: int,
    linked: Signer | None = None,
    salt: Hash32 = _NO_SALT,
) -> Link:
    """Join `linked` to the owner's account, or open the account (no `linked`); see requests.Link."""
    joined = linked or owner
    unsigned = Link(
        account_id(network_id, owner.address, salt),
        owner.address,
        salt,
        joined.address,
        tuple(sorted(collateral)),
        nonce,
    )
    digest = unsigned.digest(network_id)
    return replace(unsigned, owner_signature=owner.sign(digest), linked_signature=joined.sign(digest))


def link_wallet(
    network_id: Hash32, owner: Signer, account: AccountId, chain_id: ChainId, wallet: Address, nonce: int
) -> LinkWallet:
    """Join a contract that has said so itself by `setLink` on its chain's vault; see requests.LinkWallet."""
    unsigned = LinkWallet(account, chain_id, wallet, nonce)
    return replace(unsigned, signature=owner.sign(unsigned.digest(network_id)))


def unlink(
    network_id: Hash32, owner: Signer, account: AccountId, linked: Address, nonce: int, chain_id: ChainId = _BY_KEY
) -> Unlink:
    """Take an address off the account, a contract with its chain; see requests.Unlink."""
    unsigned = Unlink(account, chain_id, linked, nonce)
    return replace(unsigned, signature=owner.sign(unsigned.digest(network_id)))


def watch_wallet(
    network_id: Hash32,
    owner: Signer,
    account: AccountId,
    chain_id: ChainId,
    wallet: Address,
    nonce: int,
    *,
    watched: bool = True,
) -> WatchWallet:
    """Have it reported what a linked address itself holds on a chain, or no more; see requests.WatchWallet."""
    unsigned = WatchWallet(account, chain_id, wallet, watched, nonce)
    return replace(unsigned, signature=owner.sign(unsigned.digest(network_id)))


def authorize_venue(
    network_id: Hash32,
    owner: Signer,
    account: AccountId,
    venue: str,
    limit: int,
    payees: Mapping[ChainId, Address],
    nonce: int,
) -> AuthorizeVenue:
    """Let a venue claim up to `limit` (1e-12 USD), seizures paid to `payees`; see requests.AuthorizeVenue."""
    unsigned = AuthorizeVenue(account, venue, limit, tuple(sorted(payees.items())), nonce)
    return replace(unsigned, signature=owner.sign(unsigned.digest(network_id)))


def revoke_venue(network_id: Hash32, owner: Signer, account: AccountId, venue: str, nonce: int) -> RevokeVenue:
    """Stop a venue from claiming more; see requests.RevokeVenue."""
    unsigned = RevokeVenue(account, venue, nonce)
    return replace(unsigned, signature=owner.sign(unsigned.digest(network_id)))


@dataclass(frozen=True, slots=True)
class Payment:
    """What a withdrawal takes from where, for whom: `amount` in base units of `token`."""

    chain_id: ChainId
    vault: Address
    token: Address
    amount: Amount
    recipient: Address


def withdrawal(
    network_id: Hash32, owner: Signer, account: AccountId, payment: Payment, nonce: int, expiry: int
) -> WithdrawalRequest:
    """Ask for collateral back before `expiry` (unix seconds); see requests.WithdrawalRequest."""
    unsigned = WithdrawalRequest(
        account,
        payment.chain_id,
        payment.vault,
        payment.token,
        payment.amount,
        payment.recipient,
        nonce,
        expiry,
    )
    return replace(unsigned, signature=owner.sign(unsigned.digest(network_id)))


class ReportChain:
    """A venue's chain of reports: numbers, links and signs them. Start it where the last acknowledged report ended.

    Keep `sequence` and `previous` durably before a report leaves: two reports of one sequence number freeze the venue.
    """

    def __init__(
        self, network_id: Hash32, venue: str, signer: Signer, sequence: int = 0, previous: Hash32 = _NO_SALT
    ) -> None:
        self._network_id = network_id
        self._venue = venue
        self._signer = signer
        self.sequence = sequence
        self.previous = previous

    def next(self, entries: Sequence[ReportEntry], time_ms: int) -> Report:
        """The next report; each entry replaces all that was said of its account before."""
        ordered = tuple(sorted(entries, key=lambda entry: entry.account))
        unsigned = Report(self._venue, self.sequence + 1, self.previous, time_ms, ordered)
        digest = unsigned.digest(self._network_id)
        self.sequence, self.previous = unsigned.sequence, digest
        return replace(unsigned, signature=self._signer.sign(digest))

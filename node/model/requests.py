"""What owners, policy signers and witnesses ask of the network: signed, agreed in one order, applied by every node.

Owners sign EIP-712 structs under the network's domain with their own rising nonce, so that a request can be neither
replayed nor moved to another network, and outlives a rotation of the nodes.
Must not know whether a request will be granted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chains.errors import SignatureError
from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Amount, ChainId, Hash32
from node.model.codec import Malformed, Reader, Writer
from node.model.digests import account_id, name_word, read_name, struct_hash, tag, typed_digest, word
from node.model.reports import Report
from node.model.signatures import recover

MAX_COLLATERAL = 64
MAX_PAYEES = 16
MAX_POLICY_BYTES = 1 << 20
MAX_POLICY_SIGNATURES = 64

_POLICY = tag("policy")
_EQUIVOCATION = tag("venue-equivocation")

_LINK = "Link(bytes32 account,address owner,bytes32 salt,address linked,bytes32[] collateral,uint64 nonce)"
_PAYEE = "Payee(uint256 chainId,address recipient)"
_AUTHORIZE = "AuthorizeVenue(bytes32 account,bytes32 venue,uint256 limit,Payee[] payees,uint64 nonce)" + _PAYEE
_REVOKE = "RevokeVenue(bytes32 account,bytes32 venue,uint64 nonce)"
_WITHDRAW = (
    "RequestWithdrawal(bytes32 account,uint256 chainId,address vault,address token,uint256 amount,"
    "address recipient,uint64 nonce,uint64 expiry)"
)
_LINK_WALLET = "LinkWallet(bytes32 account,uint256 chainId,address wallet,uint64 nonce)"
_UNLINK = "Unlink(bytes32 account,uint256 chainId,address linked,uint64 nonce)"
_WATCH_WALLET = "WatchWallet(bytes32 account,uint256 chainId,address wallet,bool watched,uint64 nonce)"
_ACTIVATE = "ActivatePolicy(uint64 version,bytes32 policyHash,uint64 activatesAt)"


@dataclass(frozen=True, slots=True)
class Link:
    """Joins `linked` to the account of (owner, salt) and states which assets the owner lets secure it.

    `collateral` (asset names, ascending) replaces the list of the previous link. The first link of an account has
    linked == owner. `owner_signature` is by `owner`; `linked_signature` by `linked` (the same bytes when equal).
    """

    account: AccountId
    owner: Address
    salt: Hash32
    linked: Address
    collateral: tuple[str, ...]
    nonce: int
    owner_signature: bytes = b""
    linked_signature: bytes = b""

    def digest(self, network_id: Hash32) -> Hash32:
        assets = keccak(b"".join(name_word(asset) for asset in self.collateral))
        hashed = struct_hash(
            _LINK, self.account, word(self.owner), self.salt, word(self.linked), assets, word(self.nonce)
        )
        return typed_digest(network_id, hashed)

    def check(self, network_id: Hash32) -> None:
        """Raise SignatureError unless the account id is the owner's and both keys signed."""
        if account_id(network_id, self.owner, self.salt) != self.account:
            raise SignatureError("refuse a link to an account that is not the owner's", account=self.account)
        _signed_by(self.owner, self.digest(network_id), self.owner_signature)
        _signed_by(self.linked, self.digest(network_id), self.linked_signature)


@dataclass(frozen=True, slots=True)
class LinkWallet:
    """Joins the contract `wallet` of one chain to the account, as it says itself in the registry of that chain's vault.

    A contract has no key to sign with; what it wrote there is proven at a certified cut.
    """

    account: AccountId
    chain_id: ChainId
    wallet: Address
    nonce: int
    signature: bytes = b""

    def digest(self, network_id: Hash32) -> Hash32:
        hashed = struct_hash(_LINK_WALLET, self.account, word(self.chain_id), word(self.wallet), word(self.nonce))
        return typed_digest(network_id, hashed)


@dataclass(frozen=True, slots=True)
class Unlink:
    """Takes `linked` off the account; `chain_id` is a wallet's, and zero for an address that was linked by its key."""

    account: AccountId
    chain_id: ChainId
    linked: Address
    nonce: int
    signature: bytes = b""

    def digest(self, network_id: Hash32) -> Hash32:
        hashed = struct_hash(_UNLINK, self.account, word(self.chain_id), word(self.linked), word(self.nonce))
        return typed_digest(network_id, hashed)


@dataclass(frozen=True, slots=True)
class WatchWallet:
    """Has it reported what a linked address itself holds on a chain, or no more. It secures nothing by that."""

    account: AccountId
    chain_id: ChainId
    wallet: Address
    watched: bool
    nonce: int
    signature: bytes = b""

    def digest(self, network_id: Hash32) -> Hash32:
        hashed = struct_hash(
            _WATCH_WALLET,
            self.account,
            word(self.chain_id),
            word(self.wallet),
            word(int(self.watched)),
            word(self.nonce),
        )
        return typed_digest(network_id, hashed)


@dataclass(frozen=True, slots=True)
class AuthorizeVenue:
    """Lets `venue` claim up to `limit` (1e-12 USD) of the account, seizures paid only to `payees`, one a chain."""

    account: AccountId
    venue: str
    limit: int
    payees: tuple[tuple[ChainId, Address], ...]
    nonce: int
    signature: bytes = b""

    def digest(self, network_id: Hash32) -> Hash32:
        payees = keccak(b"".join(struct_hash(_PAYEE, word(chain), word(to)) for chain, to in self.payees))
        hashed = struct_hash(
            _AUTHORIZE, self.account, name_word(self.venue), word(self.limit), payees, word(self.nonce)
        )
        return typed_digest(network_id, hashed)


@dataclass(frozen=True, slots=True)
class RevokeVenue:
    """Stops `venue` from claiming more than it claims at the moment the revocation is agreed."""

    account: AccountId
    venue: str
    nonce: int
    signature: bytes = b""

    def digest(self, network_id: Hash32) -> Hash32:
        hashed = struct_hash(_REVOKE, self.account, name_word(self.venue), word(self.nonce))
        return typed_digest(network_id, hashed)


@dataclass(frozen=True, slots=True)
class WithdrawalRequest:
    """Asks that `amount` (base units) of `token` leave one chain's vault for `recipient` before `expiry` (unix s)."""

    account: AccountId
    chain_id: ChainId
    vault: Address
    token: Address
    amount: Amount
    recipient: Address
    nonce: int
    expiry: int
    signature: bytes = b""

    def digest(self, network_id: Hash32) -> Hash32:
        hashed = struct_hash(
            _WITHDRAW,
            self.account,
            word(self.chain_id),
            word(self.vault),
            word(self.token),
            word(self.amount),
            word(self.recipient),
            word(self.nonce),
            word(self.expiry),
        )
        return typed_digest(network_id, hashed)


@dataclass(frozen=True, slots=True)
class PolicyActivation:
    """A new policy (`body`: the TOML file's bytes) in force from `activates_at` (unix s), by m of n policy signers."""

    version: int
    body: bytes
    activates_at: int
    signatures: tuple[bytes, ...] = ()

    def digest(self, network_id: Hash32) -> Hash32:
        hashed = struct_hash(_ACTIVATE, word(self.version), policy_hash(self.body), word(self.activates_at))
        return typed_digest(network_id, hashed)

    def signers(self, network_id: Hash32) -> frozenset[Address]:
        """Who signed. Raises SignatureError for a signature that recovers to no key."""
        digest = self.digest(network_id)
        return frozenset(recover(digest, signature) for signature in self.signatures)


@dataclass(frozen=True, slots=True)
class VenueEquivocation:
    """Two different reports that one venue signed for one sequence: whoever shows them freezes that venue."""

    first: Report
    second: Report

    def digest(self, network_id: Hash32) -> Hash32:
        """keccak(tag ‖ the two reports' digests, the smaller first): one name whichever way round they are shown."""
        low, high = sorted((self.first.digest(network_id), self.second.digest(network_id)))
        return Hash32(keccak(_EQUIVOCATION + low + high))


OwnerRequest: TypeAlias = Link | LinkWallet | Unlink | WatchWallet | AuthorizeVenue | RevokeVenue | WithdrawalRequest
Request: TypeAlias = OwnerRequest | PolicyActivation | VenueEquivocation


def policy_hash(body: bytes) -> Hash32:
    """The hash by which a policy file is named in every header."""
    return Hash32(keccak(_POLICY + keccak(body)))


def _signed_by(signer: Address, digest: Hash32, signature: bytes) -> None:
    found = recover(digest, signature)
    if found != signer:
        raise SignatureError("refuse a request signed by another key", expected=signer, signer=found)


# === Canonical bytes: kind, fields, signatures ===

_KINDS: dict[int, type] = {
    1: Link,
    2: AuthorizeVenue,
    3: RevokeVenue,
    4: WithdrawalRequest,
    5: PolicyActivation,
    6: VenueEquivocation,
    7: LinkWallet,
    8: Unlink,
    9: WatchWallet,
}
_KIND_OF = {cls: kind for kind, cls in _KINDS.items()}


def encode_request(request: Request) -> bytes:
    """The canonical bytes of a request with its signatures."""
    writer = Writer().u8(_KIND_OF[type(request)])
    match request:
        case Link():
            writer.raw(request.account, 32).raw(request.owner, 20).raw(request.salt, 32).raw(request.linked, 20)
            writer.many(request.collateral, Writer.text).u64(request.nonce)
            writer.raw(request.owner_signature, 65).raw(request.linked_signature, 65)
        case AuthorizeVenue():
            writer.raw(request.account, 32).text(request.venue).u256(request.limit)
            writer.many(request.payees, lambda w, payee: w.u64(payee[0]).raw(payee[1], 20))
            writer.u64(request.nonce).raw(request.signature, 65)
        case RevokeVenue():
            writer.raw(request.account, 32).text(request.venue).u64(request.nonce).raw(request.signature, 65)
        case WithdrawalRequest():
            writer.raw(request.account, 32).u64(request.chain_id).raw(request.vault, 20).raw(request.token, 20)
            writer.u256(request.amount).raw(request.recipient, 20).u64(request.nonce).u64(request.expiry)
            writer.raw(request.signature, 65)
        case PolicyActivation():
            writer.u64(request.version).var(request.body).u64(request.activates_at)
            writer.many(request.signatures, lambda w, signature: w.raw(signature, 65))
        case LinkWallet():
            writer.raw(request.account, 32).u64(request.chain_id).raw(request.wallet, 20).u64(request.nonce)
            writer.raw(request.signature, 65)
        case Unlink():
            writer.raw(request.account, 32).u64(request.chain_id).raw(request.linked, 20).u64(request.nonce)
            writer.raw(request.signature, 65)
        case WatchWallet():
            writer.raw(request.account, 32).u64(request.chain_id).raw(request.wallet, 20).flag(request.watched)
            writer.u64(request.nonce).raw(request.signature, 65)
        case VenueEquivocation():
            writer.var(request.first.encode()).var(request.second.encode())
    return writer.done()


def decode_request(data: bytes) -> Request:
    """Parse a request. Raises Malformed. Signatures are not checked here."""
    reader = Reader(data, "request")
    kind = reader.u8()
    request: Request
    if kind == 1:
        account, owner, salt, linked = reader.raw(32), reader.raw(20), reader.raw(32), reader.raw(20)
        collateral = reader.many(read_name, MAX_COLLATERAL)
        reader.ascending(collateral, "collateral assets")
        request = Link(
            AccountId(account),
            Address(owner),
            Hash32(salt),
            Address(linked),
            collateral,
            reader.u64(),
            reader.raw(65),
            reader.raw(65),
        )
    elif kind == 2:
        account, venue, limit = reader.raw(32), read_name(reader), reader.u256()
        payees = reader.many(lambda r: (ChainId(r.u64()), Address(r.raw(20))), MAX_PAYEES)
        reader.ascending((chain for chain, _ in payees), "payee chains")
        request = AuthorizeVenue(AccountId(account), venue, limit, payees, reader.u64(), reader.raw(65))
    elif kind == 3:
        request = RevokeVenue(AccountId(reader.raw(32)), read_name(reader), reader.u64(), reader.raw(65))
    elif kind == 4:
        request = WithdrawalRequest(
            AccountId(reader.raw(32)),
            ChainId(reader.u64()),
            Address(reader.raw(20)),
            Address(reader.raw(20)),
            Amount(reader.u256()),
            Address(reader.raw(20)),
            reader.u64(),
            reader.u64(),
            reader.raw(65),
        )
    elif kind == 5:
        request = PolicyActivation(
            reader.u64(),
            reader.var(MAX_POLICY_BYTES),
            reader.u64(),
            reader.many(lambda r: r.raw(65), MAX_POLICY_SIGNATURES),
        )
    elif kind == 6:
        request = VenueEquivocation(Report.decode(reader.var()), Report.decode(reader.var()))
    elif kind in (7, 8):
        made = LinkWallet if kind == 7 else Unlink
        request = made(
            AccountId(reader.raw(32)), ChainId(reader.u64()), Address(reader.raw(20)), reader.u64(), reader.raw(65)
        )
    elif kind == 9:
        request = WatchWallet(
            AccountId(reader.raw(32)),
            ChainId(reader.u64()),
            Address(reader.raw(20)),
            reader.flag(),
            reader.u64(),
            reader.raw(65),
        )
    else:
        raise Malformed("use a known kind of request", kind=kind)
    reader.done()
    return request

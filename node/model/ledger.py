"""The leaves of the ledger: what each map under the header's roots says of one account.

Three kinds of map, all keyed by account id: one per chain (holdings), one of obligations (venues' reports), one of
accounts (links, authorisations, reservations, decisions). A chain's map also has a leaf for every admitted token, under
a key of its own. With the header and the frame they are all that an account's health depends on. Must not know how a
leaf came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Amount, ChainId, Control, Hash32, TokenFact
from node.model.codec import Malformed, Reader, Writer
from node.model.digests import ReleaseItem, ReleaseKind, tag, word
from node.model.merkle import MerkleMap
from node.model.reports import MAX_POSITIONS, Position, read_position, write_position

_VERSION = 1
_TOKEN_LEAF = 2
"""First byte of a token's leaf in a chain's map; holdings begin with 1."""
_CONSENT_LEAF = 3
"""And of a wallet's consent."""
_FREE_LEAF = 4
"""And of holdings with free ones beside them: a leaf without is as it was before there were any."""
_WALLETS, _WATCHED = 3, 4
"""First byte of a record that has wallets, or watched addresses: one without is as it was before there were any."""
_LINK_LEAF = 2
"""First byte of a leaf of the accounts map that says whose an address is; records begin with another."""
_TOKEN, _CONSENT = tag("token"), tag("consent")
_PREFIX = 12
_MANY = 1 << 16


@dataclass(frozen=True, slots=True)
class FreeHoldings:
    """What a watched wallet itself holds, under Control.FREE. Balances are never zero; None of a disputed token."""

    wallet: Address
    balances: tuple[tuple[Address, Amount | None], ...]


@dataclass(frozen=True, slots=True)
class Holdings:
    """Leaf of a chain's map: the vault's books of one account, as proven at the cut. Balances are never zero.

    `nonce` counts the releases that the vault has executed for the account. `free` has every wallet of the account that
    was watched for this cut, with what is in its own hands: nothing of that is in `balances`, and it secures nothing.
    """

    nonce: int
    balances: tuple[tuple[Address, Amount], ...]
    control: Control = Control.ENFORCEABLE
    free: tuple[FreeHoldings, ...] = ()

    @property
    def leaf(self) -> bytes | None:
        """As the map has it: nothing at all leaves no leaf."""
        return self.encode() if self.nonce or self.balances or self.free else None

    def encode(self) -> bytes:
        writer = Writer().u8(_FREE_LEAF if self.free else _VERSION).u64(self.nonce).u8(self.control)
        writer.many(self.balances, lambda w, item: w.raw(item[0], 20).u256(item[1]))
        if self.free:
            writer.many(self.free, _write_free)
        return writer.done()

    @classmethod
    def decode(cls, data: bytes) -> Holdings:
        """Raises Malformed."""
        reader = Reader(data, "holdings")
        has_free = has_free_holdings(data)
        reader.version(_FREE_LEAF if has_free else _VERSION)
        nonce, control = reader.u64(), reader.member(Control)
        balances = reader.many(lambda r: (Address(r.raw(20)), Amount(r.u256())), _MANY)
        reader.ascending((token for token, _ in balances), "tokens")
        free = reader.many(_read_free, _MANY) if has_free else ()
        reader.ascending((item.wallet for item in free), "watched wallets")
        if has_free and not free:
            raise Malformed("leave out free holdings where no wallet is watched")
        reader.done()
        return cls(nonce, balances, control, free)


def _write_free(writer: Writer, entry: FreeHoldings) -> None:
    writer.raw(entry.wallet, 20).many(entry.balances, _write_free_balance)


def _write_free_balance(writer: Writer, item: tuple[Address, Amount | None]) -> None:
    token, amount = item
    writer.raw(token, 20).flag(amount is not None)
    if amount is not None:
        writer.u256(amount)


def _read_free(reader: Reader) -> FreeHoldings:
    wallet = Address(reader.raw(20))
    balances = reader.many(lambda r: (Address(r.raw(20)), Amount(r.u256()) if r.flag() else None), _MANY)
    reader.ascending((token for token, _ in balances), "tokens of a wallet")
    return FreeHoldings(wallet, balances)


def has_free_holdings(leaf: bytes) -> bool:
    """Whether a leaf of a chain's map is of holdings with free ones."""
    return leaf[:1] == bytes([_FREE_LEAF])


def token_key(token: Address) -> bytes:
    """The key in a chain's map under which a token's leaf stands: tag("token") ⊕ the token's address as a word."""
    return bytes(a ^ b for a, b in zip(_TOKEN, word(token), strict=True))


def is_token_key(key: bytes) -> bool:
    """Whether `key` is kept for tokens."""
    return key[:_PREFIX] == _TOKEN[:_PREFIX]


def consent_key(account: AccountId, wallet: Address) -> bytes:
    """The key in a chain's map under which it stands that a wallet of that chain joins an account.

    The first 12 bytes of tag("consent"), then the first 20 of keccak(account ‖ wallet).
    """
    return _CONSENT[:_PREFIX] + keccak(account + wallet)[:20]


def encode_consent(account: AccountId, wallet: Address) -> bytes:
    """The leaf there."""
    return Writer().u8(_CONSENT_LEAF).raw(account, 32).raw(wallet, 20).done()


def is_reserved_key(key: bytes) -> bool:
    """Whether `key` is no account's. Who deposits for an account of that name gives the money away: it has no owner.

    An id of an account is a hash; that one begins with twelve bytes of a tag is as likely as a guessed key.
    """
    return key[:_PREFIX] in (_TOKEN[:_PREFIX], _CONSENT[:_PREFIX])


def encode_token(fact: TokenFact) -> bytes:
    """A token's leaf."""
    writer = Writer().u8(_TOKEN_LEAF).u256(fact.booked).u256(fact.held).flag(fact.disputed)
    writer.flag(fact.rate is not None)
    if fact.rate is not None:
        writer.u256(fact.rate[0]).u256(fact.rate[1])
    return writer.done()


def decode_token(data: bytes) -> TokenFact:
    """Raises Malformed."""
    reader = Reader(data, "token")
    reader.version(_TOKEN_LEAF)
    booked, held, disputed = Amount(reader.u256()), Amount(reader.u256()), reader.flag()
    rate = (reader.u256(), reader.u256()) if reader.flag() else None
    reader.done()
    return TokenFact(booked, held, rate, disputed)


def token_facts(
    chains: Mapping[ChainId, MerkleMap], places: Iterable[tuple[ChainId, Address]]
) -> dict[tuple[ChainId, Address], TokenFact]:
    """What the chains' maps say of the tokens at `places`; one that they do not know is left out."""
    leaves = {(chain, token): chains[chain].get(token_key(token)) for chain, token in places if chain in chains}
    return {place: decode_token(leaf) for place, leaf in leaves.items() if leaf is not None}


def decode_holdings(account: AccountId, books: Mapping[ChainId, bytes | None]) -> dict[ChainId, Holdings]:
    """The account's holdings from its leaf in each chain's map. Raises Malformed."""
    if is_reserved_key(account):
        return {}
    return {chain_id: Holdings.decode(leaf) for chain_id, leaf in books.items() if leaf is not None}


@dataclass(frozen=True, slots=True)
class VenueObligation:
    """What one venue says of one account (see reports.ReportEntry), and the report that said so last."""

    venue: str
    sequence: int
    positions: tuple[Position, ...]
    cash: int
    acknowledged: int

    def is_settled(self, seized: int) -> bool:
        """Whether nothing is owed either way, and all that was `seized` for the venue is acknowledged."""
        return not self.positions and self.cash == 0 and self.acknowledged == seized


@dataclass(frozen=True, slots=True)
class Obligations:
    """Leaf of the obligations map: all venues' claims on one account, ascending by venue."""

    venues: tuple[VenueObligation, ...]

    def encode(self) -> bytes:
        return Writer().u8(_VERSION).many(self.venues, _write_obligation).done()

    @classmethod
    def decode(cls, data: bytes) -> Obligations:
        """Raises Malformed."""
        reader = Reader(data, "obligations")
        reader.version(_VERSION)
        venues = reader.many(_read_obligation, _MANY)
        reader.ascending((entry.venue for entry in venues), "venues")
        reader.done()
        return cls(venues)


def _write_obligation(writer: Writer, entry: VenueObligation) -> None:
    writer.text(entry.venue).u64(entry.sequence).many(entry.positions, write_position)
    writer.i256(entry.cash).u256(entry.acknowledged)


def _read_obligation(reader: Reader) -> VenueObligation:
    venue, sequence = reader.text(), reader.u64()
    return VenueObligation(venue, sequence, reader.many(read_position, MAX_POSITIONS), reader.i256(), reader.u256())


@dataclass(frozen=True, slots=True)
class Authorization:
    """A venue that the owner lets claim up to `limit` (1e-12 USD).

    `seized` (1e-12 USD) is all that seizures, executed or reserved, have credited to the venue. What its reports have
    not acknowledged of that is a receivable of the account.
    """

    venue: str
    limit: int
    payees: tuple[tuple[ChainId, Address], ...]
    seized: int
    revoked: bool


@dataclass(frozen=True, slots=True)
class Reservation:
    """One leg of collateral that counts as gone: a release attested and not yet known to be executed or expired.

    `nonce` is the vault nonce that it uses; `reference` the request or plan it carries out; `sequence` the state that
    issued it; `expiry` in unix seconds of the chain; `venue` and `credit` (1e-12 USD) are set for a seizure only.
    """

    kind: ReleaseKind
    chain_id: ChainId
    vault: Address
    nonce: int
    payee: Address
    items: tuple[ReleaseItem, ...]
    reference: Hash32
    sequence: int
    expiry: int
    venue: str = ""
    credit: int = 0


class Verdict(IntEnum):
    """What became of an owner's request; the number is part of signed bytes."""

    GRANTED = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request, kept in the leaf so that a refusal is signed like an answer."""

    request: Hash32
    verdict: Verdict
    reason: str
    sequence: int


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """Leaf of the accounts map. `nonce` is that of the last request; `collateral` names the assets opted in.

    `linked` are addresses whose keys signed; `wallets` contracts, each of its chain, that joined by a vault's registry.
    `watched` names those of either kind that have reported what they hold themselves, each with the chain on which.
    """

    owner: Address
    nonce: int
    linked: tuple[Address, ...]
    collateral: tuple[str, ...]
    authorizations: tuple[Authorization, ...]
    reservations: tuple[Reservation, ...]
    decisions: tuple[Decision, ...]
    wallets: tuple[tuple[ChainId, Address], ...] = ()
    watched: tuple[tuple[ChainId, Address], ...] = ()

    def is_linked(self, chain_id: ChainId, address: Address) -> bool:
        """Whether an address is the account's on a chain: by its key on every one, as a contract on its own alone."""
        return address in self.linked or (chain_id, address) in self.wallets

    def encode(self) -> bytes:
        version = _WATCHED if self.watched else _WALLETS if self.wallets else _VERSION
        writer = Writer().u8(version).raw(self.owner, 20).u64(self.nonce)
        writer.many(self.linked, lambda w, address: w.raw(address, 20)).many(self.collateral, Writer.text)
        writer.many(self.authorizations, _write_authorization).many(self.reservations, write_reservation)
        writer.many(self.decisions, _write_decision)
        if version != _VERSION:
            writer.many(self.wallets, _write_place)
        if version == _WATCHED:
            writer.many(self.watched, _write_place)
        return writer.done()

    @classmethod
    def decode(cls, data: bytes) -> AccountRecord:
        """Raises Malformed."""
        reader = Reader(data, "account record")
        version = next((each for each in (_WALLETS, _WATCHED) if data[:1] == bytes([each])), _VERSION)
        reader.version(version)
        owner, nonce = Address(reader.raw(20)), reader.u64()
        linked = reader.many(lambda r: Address(r.raw(20)), _MANY)
        reader.ascending(linked, "linked addresses")
        collateral = reader.many(Reader.text, _MANY)
        reader.ascending(collateral, "collateral assets")
        authorizations = reader.many(_read_authorization, _MANY)
        reader.ascending((entry.venue for entry in authorizations), "authorised venues")
        record = cls(
            owner,
            nonce,
            linked,
            collateral,
            authorizations,
            reader.many(read_reservation, _MANY),
            reader.many(_read_decision, _MANY),
            reader.many(_read_place, _MANY) if version != _VERSION else (),
            reader.many(_read_place, _MANY) if version == _WATCHED else (),
        )
        reader.ascending(record.wallets, "wallets")
        reader.ascending(record.watched, "watched wallets")
        if (version == _WALLETS and not record.wallets) or (version == _WATCHED and not record.watched):
            raise Malformed("leave out wallets where there are none")
        reader.done()
        return record


def _write_place(writer: Writer, place: tuple[ChainId, Address]) -> None:
    writer.u64(place[0]).raw(place[1], 20)


def _read_place(reader: Reader) -> tuple[ChainId, Address]:
    return ChainId(reader.u64()), Address(reader.raw(20))


def encode_link(account: AccountId) -> bytes:
    """The leaf of the accounts map that says whose an address is."""
    return Writer().u8(_LINK_LEAF).raw(account, 32).done()


def decode_link(leaf: bytes) -> AccountId:
    """Raises Malformed."""
    reader = Reader(leaf, "link")
    reader.version(_LINK_LEAF)
    account = AccountId(reader.raw(32))
    reader.done()
    return account


def decode_record(leaf: bytes | None) -> AccountRecord | None:
    """The record in a leaf of the accounts map; None where there is none. Raises Malformed."""
    # SECURITY: anybody may name any 32 bytes as an account, so also the key of a link, which has no record.
    return AccountRecord.decode(leaf) if leaf is not None and leaf[:1] != bytes([_LINK_LEAF]) else None


def _write_authorization(writer: Writer, entry: Authorization) -> None:
    writer.text(entry.venue).u256(entry.limit)
    writer.many(entry.payees, _write_place)
    writer.u256(entry.seized).flag(entry.revoked)


def _read_authorization(reader: Reader) -> Authorization:
    venue, limit = reader.text(), reader.u256()
    payees = reader.many(_read_place, _MANY)
    return Authorization(venue, limit, payees, reader.u256(), reader.flag())


_RELEASE_KINDS = (ReleaseKind.WITHDRAWAL, ReleaseKind.SEIZURE)


def write_item(writer: Writer, item: ReleaseItem) -> None:
    """Append one item of a release."""
    writer.raw(item.token, 20).u256(item.amount).u256(item.minimum)


def read_item(reader: Reader) -> ReleaseItem:
    """Take one item; raises Malformed."""
    return ReleaseItem(Address(reader.raw(20)), Amount(reader.u256()), Amount(reader.u256()))


def write_reservation(writer: Writer, entry: Reservation) -> None:
    """Append a reservation."""
    writer.u8(_RELEASE_KINDS.index(entry.kind)).u64(entry.chain_id).raw(entry.vault, 20).u64(entry.nonce)
    writer.raw(entry.payee, 20).many(entry.items, write_item)
    writer.raw(entry.reference, 32).u64(entry.sequence).u64(entry.expiry).text(entry.venue).u256(entry.credit)


def read_reservation(reader: Reader) -> Reservation:
    """Take a reservation; raises Malformed."""
    kind = reader.u8()
    if kind >= len(_RELEASE_KINDS):
        raise Malformed("use a known kind of release", kind=kind)
    return Reservation(
        _RELEASE_KINDS[kind],
        ChainId(reader.u64()),
        Address(reader.raw(20)),
        reader.u64(),
        Address(reader.raw(20)),
        reader.many(read_item, _MANY),
        Hash32(reader.raw(32)),
        reader.u64(),
        reader.u64(),
        reader.text(),
        reader.u256(),
    )


def _write_decision(writer: Writer, entry: Decision) -> None:
    writer.raw(entry.request, 32).u8(entry.verdict).text(entry.reason).u64(entry.sequence)


def _read_decision(reader: Reader) -> Decision:
    return Decision(Hash32(reader.raw(32)), reader.member(Verdict), reader.text(), reader.u64())


@dataclass(frozen=True, slots=True)
class AccountView:
    """All that the header's roots say of one account; None where a map has no leaf for it."""

    account: AccountId
    record: AccountRecord | None
    obligations: Obligations | None
    holdings: Mapping[ChainId, Holdings]

    @property
    def free(self) -> Iterator[tuple[ChainId, FreeHoldings]]:
        """What wallets hold that the account still has watched, by chain and wallet."""
        watched = set(self.record.watched) if self.record is not None else set()
        for chain_id in sorted(self.holdings):
            for item in self.holdings[chain_id].free:
                if (chain_id, item.wallet) in watched:
                    yield chain_id, item

"""A small network for tests: keys, a policy, an owner, a venue, and the observations that four nodes make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import coincurve
from nacl.signing import SigningKey

from chains.proofs.keccak import keccak
from chains.types import (
    AccountId,
    Address,
    Amount,
    Assurance,
    ChainId,
    Checkpoint,
    Cut,
    Hash32,
    Height,
    TokenFact,
    UnixSeconds,
)
from node.consensus.outcome.observation import (
    ChainObservation,
    HeadObservation,
    Observation,
    QuoteObservation,
)
from node.margin.policy import Policy
from node.model.digests import account_id
from node.model.ledger import FreeHoldings, Holdings, consent_key, encode_consent, encode_token, token_key
from node.model.merkle import MerkleMap
from node.model.network import Network, NodeKeys
from node.model.reports import Position, Report, ReportEntry
from node.model.requests import (
    AuthorizeVenue,
    Link,
    LinkWallet,
    Request,
    RevokeVenue,
    Unlink,
    WatchWallet,
    WithdrawalRequest,
)
from node.model.signatures import address_of, sign
from node.model.state import ChainBook, RootVote

_R = TypeVar("_R", LinkWallet, Unlink, WatchWallet, AuthorizeVenue, RevokeVenue, WithdrawalRequest)
NETWORK_ID = Hash32(keccak(b"a network for tests"))
ONE, TEN = ChainId(1), ChainId(10)
TOKEN = Address(b"\x11" * 20)
USD = 10**12
"""One US dollar in 1e-12 USD."""
NOW_MS = 1_700_000_000_000
ETHER = 10**18


def key(name: str) -> coincurve.PrivateKey:
    return coincurve.PrivateKey(keccak(b"key of " + name.encode()))


def address(name: str) -> Address:
    return address_of(key(name).public_key)


def network(n: int = 4, f: int = 1) -> Network:
    nodes = tuple(
        NodeKeys(bytes(SigningKey(keccak(b"node %d" % index)).verify_key), address(f"node {index}"))
        for index in range(n)
    )
    return Network(NETWORK_ID, f, 1000, nodes, (address("policy a"), address("policy b")), 2)


def vault(chain_id: ChainId) -> Address:
    return Address(keccak(b"vault %d" % chain_id)[:20])


def verifier(chain_id: ChainId) -> Address:
    return Address(keccak(b"verifier %d" % chain_id)[:20])


POLICY = """
schema_version = 1
version = {version}
[timing]
max_price_age = 30
max_cut_age = 60
pending_cut_timeout_ms = 5000
attestation_ttl = 120
withdrawal_ttl = 100
policy_timelock = 60
[stale]
base_bps = 500
growth_bps_per_hour = 1000
cap_bps = 5000
write_off_after = 86400
[liquidation]
fee_bps = 100
bonus_bps = 500
[[assets]]
id = "ETH"
initial_haircut_bps = 2000
maintenance_haircut_bps = 1000
min_value_micro_usd = 1000000
min_sources = 2
max_spread_bps = 200
[[instruments]]
id = "ETH-PERP"
kind = "perpetual"
underlying = "ETH"
initial_bps = 1000
maintenance_bps = 500
[[venues]]
id = "demo"
signer = "0x{signer}"
"""

CHAIN = """
[[chains]]
id = {id}
kind = "simulated"
vault = "0x{vault}"
vault_code_hash = "0x{zero}"
verifier = "0x{verifier}"
from_height = 0
stride = 1
tokens = [{{ token = "0x{token}", asset = "ETH", decimals = 18 }}]
feeds = [{{ source = "feed-{id}", asset = "ETH", feed = "0x{token}", decimals = 8, code_hash = "0x{zero}" }}]
"""


FREE = {"decimals = 18 }]": "decimals = 18, free = true }]\nmax_watched = 3"}
"""Text of a policy with which wallets may be watched on either chain."""


def policy(version: int = 1, text: Mapping[str, str] | None = None) -> Policy:
    """The policy of the kit, with replacements of text for tests that need another one."""
    body = POLICY.format(version=version, signer=address("demo venue").hex())
    for chain_id in (ONE, TEN):
        body += CHAIN.format(
            id=chain_id,
            vault=vault(chain_id).hex(),
            verifier=verifier(chain_id).hex(),
            zero=bytes(32).hex(),
            token=TOKEN.hex(),
        )
    for old, new in (text or {}).items():
        assert old in body
        body = body.replace(old, new)
    return Policy.parse(body.encode())


PROFILE = """[margin]
profile = "hypothec"
[[indices]]
id = "ETH-VOL"
min_sources = 2
max_spread_bps = 1000
[[instruments]]
id = "ETH"
kind = "future"
underlying = "ETH"
[[instruments]]
id = "ETH"
kind = "option"
underlying = "ETH"
[[venues]]
"""


def hypothec_policy(version: int = 1, text: Mapping[str, str] | None = None) -> Policy:
    """The policy of the kit with the profile `hypothec`, dated futures and options of ETH, an index of its volatility.

    What else its accounts are judged by is as before.
    """
    body = policy(version).body.decode()
    for given in ("initial_haircut_bps = 2000\n", "maintenance_haircut_bps = 1000\n"):
        body = body.replace(given, "")
    body = body.replace("initial_bps = 1000\n", "").replace("maintenance_bps = 500\n", "")
    body = body.replace('id = "ETH"\n', 'id = "ETH"\nvolatility = "ETH-VOL"\n', 1).replace("[[venues]]\n", PROFILE, 1)
    head, *chains = body.split("[[chains]]")
    for chain_id, table in zip((ONE, TEN), chains, strict=True):
        at = table.index("feeds = ")
        feed = f'{{ source = "vol-{chain_id}", asset = "ETH-VOL", feed = "0x{TOKEN.hex()}", decimals = 8, '
        feed += f'code_hash = "0x{bytes(32).hex()}" }}, '
        head += "[[chains]]" + table[:at] + "feeds = [" + feed + table[at + len("feeds = [") :]
    for old, new in (text or {}).items():
        assert old in head
        head = head.replace(old, new)
    return Policy.parse(head.encode())


# === What owners and venues sign ===

SALT = Hash32(bytes(32))


@dataclass
class Owner:
    """An owner who signs requests in order."""

    name: str = "alice"
    nonce: int = 0

    @property
    def account(self) -> AccountId:
        return account_id(NETWORK_ID, address(self.name), SALT)

    def next_nonce(self) -> int:
        self.nonce += 1
        return self.nonce

    def link(self, other: str | None = None, collateral: tuple[str, ...] = ("ETH",)) -> Link:
        linked = other or self.name
        link = Link(self.account, address(self.name), SALT, address(linked), collateral, self.next_nonce())
        digest = link.digest(NETWORK_ID)
        return replace(link, owner_signature=sign(key(self.name), digest), linked_signature=sign(key(linked), digest))

    def link_wallet(self, wallet: Address, chain_id: ChainId = ONE) -> LinkWallet:
        return self._signed(LinkWallet(self.account, chain_id, wallet, self.next_nonce()))

    def unlink(self, linked: Address, chain_id: ChainId = ChainId(0)) -> Unlink:  # noqa: B008 - it is an int
        return self._signed(Unlink(self.account, chain_id, linked, self.next_nonce()))

    def watch(self, wallet: Address, chain_id: ChainId = ONE, *, watched: bool = True) -> WatchWallet:
        return self._signed(WatchWallet(self.account, chain_id, wallet, watched, self.next_nonce()))

    def authorize(self, limit_usd: int = 10_000, venue: str = "demo", payee: str = "demo payee") -> AuthorizeVenue:
        payees = ((ONE, address(payee)), (TEN, address(payee)))
        return self._signed(AuthorizeVenue(self.account, venue, limit_usd * USD, payees, self.next_nonce()))

    def revoke(self, venue: str = "demo") -> RevokeVenue:
        return self._signed(RevokeVenue(self.account, venue, self.next_nonce()))

    def withdraw(self, amount: int, chain_id: ChainId = ONE, expiry: int = NOW_MS // 1000 + 3600) -> WithdrawalRequest:
        return self._signed(
            WithdrawalRequest(
                self.account,
                chain_id,
                vault(chain_id),
                TOKEN,
                Amount(amount),
                address("recipient"),
                self.next_nonce(),
                expiry,
            )
        )

    def _signed(self, request: _R) -> _R:
        return replace(request, signature=sign(key(self.name), request.digest(NETWORK_ID)))


@dataclass
class Venue:
    """A venue that keeps its chain of reports."""

    name: str = "demo"
    sequence: int = 0
    previous: Hash32 = field(default_factory=lambda: Hash32(bytes(32)))

    def report(self, *entries: ReportEntry) -> Report:
        self.sequence += 1
        ordered = tuple(sorted(entries, key=lambda entry: entry.account))
        report = Report(self.name, self.sequence, self.previous, NOW_MS, ordered)
        self.previous = report.digest(NETWORK_ID)
        return replace(report, signature=sign(key(f"{self.name} venue"), self.previous))


def entry(account: AccountId, size: int, entry_usd: int, cash: int = 0, acknowledged: int = 0) -> ReportEntry:
    """One ETH perpetual position of `size` (1e-18) at an entry price in USD; none when the size is zero."""
    positions = (Position("ETH-PERP", size, entry_usd * USD),) if size else ()
    return ReportEntry(account, positions, cash, acknowledged)


# === What nodes observe ===


def cut(chain_id: ChainId, height: int, time_ms: int = NOW_MS) -> Cut:
    return Cut(
        chain_id, Height(height), Hash32(keccak(b"block %d %d" % (chain_id, height))), UnixSeconds(time_ms // 1000)
    )


def book(
    at: Cut,
    balances: Mapping[AccountId, int],
    nonces: Mapping[AccountId, int] | None = None,
    *,
    held: int | None = None,
    joining: Iterable[tuple[AccountId, Address]] = (),
    free: Mapping[AccountId, tuple[FreeHoldings, ...]] | None = None,
) -> ChainBook:
    """The holdings of one token, all of it in the vault but for the `free` ones, that a node proved at a cut."""
    leaves: dict[bytes, bytes] = {
        account: Holdings(
            (nonces or {}).get(account, 0),
            ((TOKEN, Amount(amount)),) if amount else (),
            free=(free or {}).get(account, ()),
        ).encode()
        for account, amount in balances.items()
    }
    booked = Amount(sum(balances.values()))
    leaves |= {consent_key(*link): encode_consent(*link) for link in joining}
    leaves[token_key(TOKEN)] = encode_token(TokenFact(booked, booked if held is None else Amount(held)))
    checkpoint = Checkpoint(at, Hash32(keccak(b"storage" + bytes(at.block_hash))))
    return ChainBook(checkpoint, MerkleMap.of(leaves), Assurance.ATTESTED)


@dataclass
class World:
    """What all honest nodes see, and the inputs they hold. Implements the transition's Inputs."""

    time_ms: int = NOW_MS
    candidates: dict[ChainId, tuple[Cut, ...]] = field(default_factory=dict)
    disputed: set[ChainId] = field(default_factory=set)
    books: dict[Hash32, ChainBook] = field(default_factory=dict)
    prices: dict[str, int] = field(default_factory=dict)
    vols: dict[str, int] = field(default_factory=dict)
    published_at: int | None = None
    reports: dict[Hash32, Report] = field(default_factory=dict)
    heads: dict[str, tuple[Hash32, ...]] = field(default_factory=dict)
    requests: dict[Hash32, Request] = field(default_factory=dict)
    policies: dict[Hash32, Policy] = field(default_factory=dict)

    def observe(self, pending: Mapping[ChainId, Cut | None]) -> Observation:
        chains = []
        for chain_id in sorted(self.candidates):
            wanted = pending.get(chain_id)
            found = self.books.get(wanted.block_hash) if wanted is not None else None
            vote: RootVote | None = found.vote if found is not None else None
            voted = wanted.block_hash if wanted is not None and vote is not None else None
            chains.append(ChainObservation(chain_id, self.candidates[chain_id], chain_id in self.disputed, voted, vote))
        published = UnixSeconds(self.published_at if self.published_at is not None else self.time_ms // 1000)
        quotes = tuple(
            QuoteObservation(asset, source, price, published, Assurance.ATTESTED)
            for asset, prices in (("ETH", self.prices), ("ETH-VOL", self.vols))
            for source, price in sorted(prices.items())
        )
        heads = tuple(HeadObservation(venue, digests) for venue, digests in sorted(self.heads.items()) if digests)
        return Observation(self.time_ms, tuple(chains), quotes, heads, tuple(sorted(self.requests)))

    def add_book(self, made: ChainBook) -> None:
        at = made.checkpoint.cut
        self.books[at.block_hash] = made
        self.candidates[at.chain_id] = (*self.candidates.get(at.chain_id, ()), at)[-8:]

    def set_price(self, usd: int, spread: int = 0) -> None:
        self.prices = {"feed-1": usd * USD, "feed-10": (usd + spread) * USD}

    def set_vol(self, bps: int, spread: int = 0) -> None:
        """A year's volatility of ETH, as both sources of its index quote it."""
        self.vols = {"vol-1": bps * USD // 10_000, "vol-10": (bps + spread) * USD // 10_000}

    def submit(self, request: Request) -> Hash32:
        digest = request.digest(NETWORK_ID)
        self.requests[digest] = request
        return digest

    def publish(self, report: Report) -> None:
        digest = report.digest(NETWORK_ID)
        self.reports[digest] = report
        self.heads[report.venue] = (*self.heads.get(report.venue, ()), digest)

    # Inputs

    def report(self, digest: Hash32) -> Report | None:
        return self.reports.get(digest)

    def request(self, digest: Hash32) -> Request | None:
        return self.requests.get(digest)

    def policy(self, digest: Hash32) -> Policy | None:
        return self.policies.get(digest)

    def book(self, chain_id: ChainId, root: Hash32) -> MerkleMap | None:
        return next((made.holdings for made in self.books.values() if made.holdings.root == root), None)

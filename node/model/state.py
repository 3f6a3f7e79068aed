"""The replicated state: what every node holds after a round, and can prove to anybody under one header.

A state is immutable; maps share what did not change. `control` is what only the nodes need in order to derive the next
state (votes that are still being tallied, heads of venues' chains, a policy on its way in); its hash is in the header,
so a node that catches up knows that it got the right one. Must not know how the next state is derived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Assurance, ChainId, ChainRecipe, Checkpoint, Cut, Hash32
from node.model.codec import Reader, Writer
from node.model.digests import tag
from node.model.frame import Frame
from node.model.header import Header, read_cut, write_cut
from node.model.ledger import AccountView, Obligations, decode_holdings, decode_record
from node.model.merkle import MapProof, MerkleMap
from node.model.network import MAX_NODES

_CONTROL = tag("control")
_VERSION = 1
MAX_CANDIDATES = 8
"""Cuts that one observation offers for one chain."""
_MAX_VENUES = 4096
_MAX_CHAINS = 64
_MAX_RESERVED = 1 << 20
MAX_WATCHED = 512
"""Addresses on one chain: each is asked about at every cut."""
Watched: TypeAlias = tuple[AccountId, Address]
"""A linked address that is watched for an account."""


@dataclass(frozen=True, slots=True)
class RootVote:
    """The root that a node computed for the pending cut, with what the next cut resumes from."""

    root: Hash32
    storage_hash: Hash32
    assurance: Assurance


@dataclass(frozen=True, slots=True)
class ChainControl:
    """Votes on one chain that are not decided yet, each node's latest.

    `candidates` are the final cuts that each node offered last; `disputes` the nodes that last said that the chain
    contradicts its certified cut or its recipe; `pending` the agreed cut whose root is being voted
    (`pending_since_ms`: since which state time), `roots` the votes so far. `watched` are the wallets whose free
    holdings the root has to have: those of when the cut became pending, so that who comes or goes disturbs no vote.
    """

    chain_id: ChainId
    candidates: Mapping[int, tuple[Cut, ...]]
    disputes: frozenset[int]
    pending: Cut | None
    pending_since_ms: int
    roots: Mapping[int, RootVote]
    watched: tuple[Watched, ...] = ()


@dataclass(frozen=True, slots=True)
class VenueHead:
    """The newest report of a venue that the network has adopted. A frozen venue signed two histories.

    `open` is what it has open, over all accounts, as node.consensus.outcome.reports counts it.
    """

    venue: str
    sequence: int
    digest: Hash32
    frozen: bool
    open: int = 0


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """An activated policy that waits for its time (unix seconds)."""

    version: int
    policy_hash: Hash32
    activates_at: int


@dataclass(frozen=True, slots=True)
class Control:
    """All undecided and nodes-only parts of the state; lists ascend by chain id, venue and account.

    `reserved` names the accounts that have an open reservation, so that nobody need look through all of them; `issued`
    gives the header hash of each earlier state that issued one, since releases are signed over it. `watched` is the
    same for the addresses that accounts have watched, each on its chain.
    """

    policy_version: int
    chains: tuple[ChainControl, ...]
    venues: tuple[VenueHead, ...]
    policy_change: PolicyChange | None
    reserved: tuple[AccountId, ...]
    issued: tuple[tuple[int, Hash32], ...]
    watched: tuple[tuple[ChainId, AccountId, Address], ...] = ()

    def watched_on(self, recipe: ChainRecipe) -> tuple[Watched, ...]:
        """Who is to be watched on a chain at its next cut, ascending; no more than the policy allows by now."""
        found = ((account, wallet) for chain_id, account, wallet in self.watched if chain_id == recipe.chain_id)
        return tuple(islice(found, recipe.max_watched))

    def hash(self) -> Hash32:
        return Hash32(keccak(_CONTROL + self.encode()))

    def encode(self) -> bytes:
        writer = Writer().u8(_VERSION).u64(self.policy_version).many(self.chains, _write_chain)
        writer.many(
            self.venues,
            lambda w, head: w.text(head.venue).u64(head.sequence).raw(head.digest, 32).flag(head.frozen).u64(head.open),
        )
        writer.flag(self.policy_change is not None)
        if (change := self.policy_change) is not None:
            writer.u64(change.version).raw(change.policy_hash, 32).u64(change.activates_at)
        writer.many(self.reserved, lambda w, account: w.raw(account, 32))
        writer.many(self.issued, lambda w, item: w.u64(item[0]).raw(item[1], 32))
        return writer.many(self.watched, lambda w, item: w.u64(item[0]).raw(item[1], 32).raw(item[2], 20)).done()

    @classmethod
    def decode(cls, data: bytes) -> Control:
        """Raises Malformed."""
        reader = Reader(data, "control")
        reader.version(_VERSION)
        policy_version = reader.u64()
        chains = reader.many(_read_chain, _MAX_CHAINS)
        reader.ascending((chain.chain_id for chain in chains), "chains")
        venues = reader.many(
            lambda r: VenueHead(r.text(), r.u64(), Hash32(r.raw(32)), r.flag(), r.u64()),
            _MAX_VENUES,
        )
        reader.ascending((head.venue for head in venues), "venues")
        change = PolicyChange(reader.u64(), Hash32(reader.raw(32)), reader.u64()) if reader.flag() else None
        reserved = reader.many(lambda r: AccountId(r.raw(32)), _MAX_RESERVED)
        reader.ascending(reserved, "accounts with reservations")
        issued = reader.many(lambda r: (r.u64(), Hash32(r.raw(32))), _MAX_RESERVED)
        reader.ascending((sequence for sequence, _ in issued), "issuing states")
        watched = reader.many(lambda r: (ChainId(r.u64()), AccountId(r.raw(32)), Address(r.raw(20))), _MAX_RESERVED)
        reader.ascending(watched, "watched wallets")
        reader.done()
        return cls(policy_version, chains, venues, change, reserved, issued, watched)


def _write_chain(writer: Writer, chain: ChainControl) -> None:
    writer.u64(chain.chain_id)
    writer.many(sorted(chain.candidates.items()), lambda w, item: w.u8(item[0]).many(item[1], write_cut))
    writer.many(sorted(chain.disputes), Writer.u8).flag(chain.pending is not None)
    if chain.pending is not None:
        write_cut(writer, chain.pending)
    writer.u64(chain.pending_since_ms).many(sorted(chain.roots.items()), _write_root_vote)
    writer.many(chain.watched, lambda w, item: w.raw(item[0], 32).raw(item[1], 20))


def _write_root_vote(writer: Writer, item: tuple[int, RootVote]) -> None:
    node, vote = item
    writer.u8(node).raw(vote.root, 32).raw(vote.storage_hash, 32).u8(vote.assurance)


def _read_root_vote(reader: Reader) -> tuple[int, RootVote]:
    return reader.u8(), RootVote(Hash32(reader.raw(32)), Hash32(reader.raw(32)), reader.member(Assurance))


def _read_chain(reader: Reader) -> ChainControl:
    chain_id = ChainId(reader.u64())
    candidates = reader.many(lambda r: (r.u8(), r.many(read_cut, MAX_CANDIDATES)), MAX_NODES)
    reader.ascending((node for node, _ in candidates), "nodes")
    disputes = reader.many(Reader.u8, MAX_NODES)
    reader.ascending(disputes, "nodes")
    pending = read_cut(reader) if reader.flag() else None
    since = reader.u64()
    roots = reader.many(_read_root_vote, MAX_NODES)
    reader.ascending((node for node, _ in roots), "nodes")
    watched = reader.many(lambda r: (AccountId(r.raw(32)), Address(r.raw(20))), MAX_WATCHED)
    reader.ascending(watched, "watched wallets")
    return ChainControl(chain_id, dict(candidates), frozenset(disputes), pending, since, dict(roots), watched)


@dataclass(frozen=True, slots=True)
class ChainBook:
    """One chain's holdings as a node computed them at a cut: what a root vote stands for, kept until it is decided.

    `watched` are the wallets whose free holdings are in it.
    """

    checkpoint: Checkpoint
    holdings: MerkleMap
    assurance: Assurance
    watched: tuple[Watched, ...] = ()

    @property
    def vote(self) -> RootVote:
        return RootVote(self.holdings.root, self.checkpoint.storage_hash, self.assurance)


@dataclass(frozen=True, slots=True)
class State:
    """One margin state with everything under its header."""

    header: Header
    chains: Mapping[ChainId, MerkleMap]
    obligations: MerkleMap
    accounts: MerkleMap
    frame: Frame
    control: Control

    def view(self, account: AccountId) -> AccountView:
        """All that the state says of one account."""
        obligations = self.obligations.get(account)
        return AccountView(
            account,
            decode_record(self.accounts.get(account)),
            Obligations.decode(obligations) if obligations is not None else None,
            decode_holdings(account, {chain_id: book.get(account) for chain_id, book in self.chains.items()}),
        )

    def leaves(self, account: AccountId) -> Iterator[tuple[str, bytes | None, MapProof]]:
        """(map name, leaf or None, proof) for every map of the ledger: "accounts", "obligations", "chain:ID"."""
        for name, book in self.maps():
            yield name, book.get(account), book.prove(account)

    def maps(self) -> Iterator[tuple[str, MerkleMap]]:
        """Every map of the ledger by name, in the order of the header."""
        yield "accounts", self.accounts
        yield "obligations", self.obligations
        for chain_id in sorted(self.chains):
            yield f"chain:{chain_id}", self.chains[chain_id]

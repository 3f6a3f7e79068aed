"""What a store owes the node, whichever database is behind it; one conformance suite holds for all.

Every call that writes is durable when it returns, entirely or not at all, and calls take effect in the order in which
they were made. Must not know a database. Errors: see `errors`; every call may raise StoreFull (nothing was stored, it
may succeed later), StoreFailed, StoreCorrupt or StoreClosed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chains.types import AccountId, Address, ChainId, Hash32
from node.attestation.attestor import ChainSlot
from node.attestation.statements import Statement
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.effects import Attributed
from node.consensus.protocol.journal import JournalState, Record
from node.consensus.protocol.statements import Evidence
from node.ingest.ports import Bodies as AcceptedBodies
from node.model.certificate import CommitCertificate
from node.model.header import Header
from node.model.reports import Report
from node.model.requests import Request
from node.model.state import State
from node.model.transactions import Attempt, Transaction, TxStatus


class Origin(StrEnum):
    """What is known of the past of a store, and so of the key that signed with it."""

    CREATED = "created"
    """Made together with the key: all that the key ever signed is in here."""
    MISSING = "missing"
    """Made because none was found: the key may have signed anything."""
    IMPORTED = "imported"
    """Copied, moved or restored from a backup: the key may have signed more than is in here."""


class Journal(Protocol):
    """The consensus journal of one configuration."""

    async def append(self, records: Sequence[Record]) -> None:
        """Write down, in order, before anything that rests on it is signed or sent.

        The same message again in its slot is fine. Raises DoubleSignError for another one, and SlotPassed for a slot
        of an earlier epoch than the latest that was entered, or of a sequence number up to the latest decided one:
        those slots have been forgotten.
        """

    async def load(self) -> JournalState:
        """What the node goes on from; not intact while the store's origin demands silence. Raises StoreCorrupt."""


class ChainSignatures(Protocol):
    """The slots in which this node has signed for chains. Satisfies attestation's `SlotJournal`."""

    async def sign_once(self, slots: Sequence[ChainSlot]) -> None:
        """Write down, all or none, before signing. The same digest again is fine.

        Raises DoubleSignError when another digest stands in a slot, SlotPassed when the slot was pruned.
        """


@dataclass(frozen=True, slots=True)
class CertifiedHeader:
    """A margin state's header, what certifies it, and the observations of which it was derived."""

    header: Header
    certificate: CommitCertificate
    observations: Attributed


class States(Protocol):
    """The latest committed state in full, and the headers and certificates of recent ones."""

    async def save(self, state: State, certificate: CommitCertificate, observations: Attributed = ()) -> None:
        """Replace the latest state; only what differs from the stored one is written.

        `observations` are empty when the state was obtained from peers. Saving the same state again is fine. Raises
        StateConflict for an older one, another of the same sequence, or a certificate that is of another header.
        """

    async def load(self) -> tuple[State, CertifiedHeader] | None:
        """The latest state, every root checked against its header; None before the first. Raises StoreCorrupt."""

    async def header(self, sequence: int) -> CertifiedHeader | None:
        """A recent header; None when it was pruned, or skipped while this node caught up."""

    async def headers(self, first: int, limit: int) -> tuple[CertifiedHeader, ...]:
        """Up to `limit` stored headers from sequence `first` on, ascending."""


class Bodies(AcceptedBodies, Protocol):
    """What was accepted from venues, owners and policy signers, by digest. Saving again what is there is fine."""

    async def report(self, digest: Hash32) -> Report | None: ...

    async def reports(self, above: Mapping[str, int]) -> tuple[Report, ...]:
        """Those above a sequence number for each venue, by venue and sequence; two at one if the venue signed two."""

    async def request(self, digest: Hash32) -> Request | None: ...

    async def requests(self) -> tuple[Request, ...]:
        """Those that were not forgotten, in the order in which they were saved."""

    async def policy(self, digest: Hash32) -> bytes | None:
        """The bytes of a policy file."""

    async def policies(self) -> tuple[bytes, ...]:
        """In the order in which they were saved."""

    async def save_evidence(self, evidence: Evidence) -> None:
        """Keep for third parties; never pruned."""

    async def evidence(self) -> tuple[Evidence, ...]:
        """In the order in which it was found."""


@dataclass(frozen=True, slots=True)
class BoundStatement:
    """A statement with a quorum of signatures, packed as the contracts read them."""

    statement: Statement
    packed: bytes


class Attestations(Protocol):
    """Statements that reached their quorum of signatures, by digest."""

    async def save(self, statement: Statement, packed: bytes) -> None:
        """Before it is answered or relayed. The first signatures that were saved stay."""

    async def get(self, digest: Hash32) -> BoundStatement | None: ...

    async def of_account(self, account: AccountId, limit: int) -> tuple[BoundStatement, ...]:
        """An account's releases, the newest states first."""

    async def since(self, sequence: int, limit: int) -> tuple[BoundStatement, ...]:
        """Those of states from `sequence` on, the oldest first: what a restarted relayer looks through."""


class Outbox(Protocol):
    """Transactions by chain and purpose, written down before they are sent, so that none is ever made twice."""

    async def add(self, transaction: Transaction) -> Transaction:
        """Write down a new transaction with its first attempt, before it is sent.

        Returns what is stored: when the purpose is there already, that is the earlier transaction, and the one that
        was offered must not be sent. Raises OutboxConflict when the sender's nonce is taken by another purpose.
        """

    async def replace(self, chain_id: ChainId, purpose: Hash32, attempt: Attempt) -> Transaction:
        """Write down a further attempt with the same nonce, for a higher fee, before it is sent.

        Raises OutboxConflict unless the purpose is pending.
        """

    async def settle(self, chain_id: ChainId, purpose: Hash32, status: TxStatus) -> None:
        """Set the status of what was added. Raises OutboxConflict if nothing was."""

    async def get(self, chain_id: ChainId, purpose: Hash32) -> Transaction | None: ...

    async def pending(self, chain_id: ChainId) -> tuple[Transaction, ...]:
        """By nonce."""

    async def next_nonce(self, chain_id: ChainId, sender: Address) -> int:
        """One above the highest nonce written down for the sender; 0 if there is none."""


class Store(Protocol):
    """One node's store, open, and locked against every other process."""

    @property
    def origin(self) -> Origin: ...

    @property
    def chain_signatures(self) -> ChainSignatures: ...

    @property
    def states(self) -> States: ...

    @property
    def bodies(self) -> Bodies: ...

    @property
    def attestations(self) -> Attestations: ...

    @property
    def outbox(self) -> Outbox: ...

    def journal(self, config: ConsensusConfig) -> Journal:
        """The journal of one configuration; each has its own."""

    async def prune(self, keep: int) -> None:
        """Forget what belongs to older states than the latest `keep`, and reports as far below their venue's head.

        Of reports never more than 256 are kept below a head. What belongs to states is headers, chain signatures,
        attestations and settled transactions. Nothing is forgotten of a state that has a reservation open, nor of a
        later one. Below what was forgotten, `sign_once` refuses.
        """

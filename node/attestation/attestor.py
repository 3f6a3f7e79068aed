"""Signs for the chains what this node saw committed, once, and tells the others.

Rule: the slot is written to the journal before the signature exists. Signatures over releases that still lack a quorum
are told again with every few states, so that a node which was away can serve them. Must not know how statements arise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import coincurve

from chains.types import AccountId, Address, ChainId, Hash32
from node.attestation.collector import MAX_SHARES, Collector, Share, decode_shares, encode_shares
from node.attestation.statements import Statement, statements
from node.margin.policy import Policy
from node.model.network import Network
from node.model.signatures import sign_compact
from node.model.state import State

RETELL_EVERY = 5
"""States between two tellings of signatures over releases that are open."""


@dataclass(frozen=True, slots=True)
class ChainSlot:
    """The place in which a node signs one digest only, whatever the epoch."""

    config_digest: Hash32
    sequence: int
    purpose: str
    chain_id: ChainId
    contract: Address
    account: AccountId
    digest: Hash32


class SlotJournal(Protocol):
    """Durable record of chain signatures. Raises when a slot already stands for another digest."""

    async def sign_once(self, slots: Sequence[ChainSlot]) -> None: ...


class Attestor:
    """This node's signatures and, in time, everybody's. `on_bound` gets each statement that reaches its quorum."""

    def __init__(
        self,
        network: Network,
        me: int,
        key: coincurve.PrivateKey,
        journal: SlotJournal,
        broadcast: Callable[[bytes], None],
        on_bound: Callable[[Statement, bytes], None],
    ) -> None:
        self._network = network
        self._me = me
        self._key = key
        self._journal = journal
        self._broadcast = broadcast
        self._on_bound = on_bound
        self._collector = Collector(network)
        self._own: dict[Hash32, Share] = {}

    @property
    def collector(self) -> Collector:
        return self._collector

    async def committed(self, state: State, policy: Policy) -> None:
        """Sign what `state` calls for and has not been signed before, and tell the others."""
        current = list(statements(state, self._network, policy))
        new = [item for item in current if item.digest not in self._own]
        await self._journal.sign_once([_slot(self._network.digest, item) for item in new])
        shares = [Share(item.digest, sign_compact(self._key, item.digest)) for item in new]
        self._own = {item.digest: self._own[item.digest] for item in current if item.digest in self._own}
        self._own |= {share.digest: share for share in shares}
        self._collector.keep(self._own)
        told = list(shares)
        if state.header.sequence % RETELL_EVERY == 0:
            told = [self._own[item.digest] for item in current]
        for at in range(0, len(told), MAX_SHARES):
            self._broadcast(encode_shares(told[at : at + MAX_SHARES]))
        for item, share in zip(new, shares, strict=True):
            if self._collector.expect(item) or self._collector.add(self._me, share):
                self._bound(item.digest)

    def received(self, node: int, raw: bytes) -> None:
        """Count a peer's signatures. Raises Malformed or SignatureError, the peer's fault."""
        for share in decode_shares(raw):
            if self._collector.add(node, share):
                self._bound(share.digest)

    def _bound(self, digest: Hash32) -> None:
        statement, packed = self._collector.statement(digest), self._collector.packed(digest)
        if statement is not None and packed is not None:
            self._on_bound(statement, packed)


def _slot(config_digest: Hash32, item: Statement) -> ChainSlot:
    return ChainSlot(
        config_digest, item.sequence, item.purpose, item.chain_id, item.contract, item.account, item.digest
    )

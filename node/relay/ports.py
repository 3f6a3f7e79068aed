"""What the relayer needs of the rest of the node. The store keeps the outbox; every call that writes is durable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chains.proofs.keccak import keccak
from chains.types import Address, ChainId, Hash32
from node.model.transactions import Attempt, Transaction, TxStatus


class Outbox(Protocol):
    """Transactions by chain and purpose, written down before they are sent, so that none is ever made twice."""

    async def add(self, transaction: Transaction) -> Transaction:
        """Write it down. When the purpose is there already, the stored one is returned, and is the one to send."""

    async def replace(self, chain_id: ChainId, purpose: Hash32, attempt: Attempt) -> Transaction:
        """Write down a further attempt with the same nonce."""

    async def settle(self, chain_id: ChainId, purpose: Hash32, status: TxStatus) -> None: ...

    async def get(self, chain_id: ChainId, purpose: Hash32) -> Transaction | None: ...

    async def pending(self, chain_id: ChainId) -> tuple[Transaction, ...]:
        """By nonce."""

    async def next_nonce(self, chain_id: ChainId, sender: Address) -> int:
        """One above the highest nonce written down for the sender; 0 if there is none."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Which node of how many this is, and so when its turn comes for each statement."""

    me: int
    nodes: int

    def position(self, purpose: Hash32) -> int:
        """This node's place in the statement's own order of nodes, 0 first; the same for every node to compute."""
        order = sorted(range(self.nodes), key=lambda node: keccak(purpose + bytes([node])))
        return order.index(self.me)

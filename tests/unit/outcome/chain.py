"""A run of states, for tests of what a round makes of what the nodes saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from chains.types import AccountId, Address, ChainId, Cut
from node.consensus.outcome.observation import Observation
from node.consensus.outcome.transition import derive, genesis
from node.margin import MarginContext, evaluate
from node.margin.policy import Policy
from node.model.health import Health
from node.model.ledger import AccountRecord, AccountView
from node.model.requests import PolicyActivation
from node.model.signatures import sign
from node.model.state import State
from tests import kit
from tests.kit import ONE, TEN, Owner, Venue, World


class Chain:
    """A run of states in which four honest nodes see one world; `drop` lists nodes that are away."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.network = kit.network()
        self.policy = policy or kit.policy()
        self.world = World(policies={self.policy.hash: self.policy})
        self.world.set_price(2000)
        self.state: State = genesis(self.network, self.policy)

    def pending(self) -> dict[ChainId, Cut | None]:
        return {item.chain_id: item.pending for item in self.state.control.chains}

    def observations(self, nodes: tuple[int, ...] = (0, 1, 2, 3)) -> dict[int, Observation]:
        seen = self.world.observe(self.pending())
        adopted = {head.venue: head.sequence for head in self.state.control.venues}
        heads = tuple(replace(head, digests=head.digests[adopted[head.venue] :]) for head in seen.heads)
        seen = replace(seen, heads=tuple(head for head in heads if head.digests))
        return dict.fromkeys(nodes, seen)

    def round(self, nodes: tuple[int, ...] = (0, 1, 2, 3), seconds: int = 1) -> State:
        self.world.time_ms += 1000 * seconds
        self.state = derive(self.state, self.observations(nodes), self.network, self.world)
        return self.state

    def settle(
        self,
        height: int,
        balances: dict[AccountId, int],
        nonces: dict[AccountId, int] | None = None,
        joining: Mapping[ChainId, Iterable[tuple[AccountId, Address]]] | None = None,
    ) -> State:
        """Certify the same books on both chains at `height`, and which wallets join which accounts on each."""
        for chain_id in (ONE, TEN):
            at = kit.cut(chain_id, height, self.world.time_ms)
            self.world.add_book(kit.book(at, balances, nonces, joining=(joining or {}).get(chain_id, ())))
        self.round()
        return self.round()

    def health(self, owner: Owner) -> Health:
        return self.judged(self.state.view(owner.account))

    def judged(self, view: AccountView) -> Health:
        """An account's health in the market of the state."""
        return evaluate(view, MarginContext.of(self.policy, self.state))

    def record(self, owner: Owner) -> AccountRecord:
        record = self.state.view(owner.account).record
        assert record is not None
        return record


Leveraged: TypeAlias = tuple[Chain, Owner, Venue]


def submit_activation(chain: Chain, version: int, body: bytes) -> None:
    """A policy with the signatures that it takes, seen by all nodes."""
    unsigned = PolicyActivation(version, body, chain.world.time_ms // 1000 + 70)
    digest = unsigned.digest(kit.NETWORK_ID)
    signatures = tuple(sign(kit.key(name), digest) for name in ("policy a", "policy b"))
    chain.world.submit(replace(unsigned, signatures=signatures))


def activate(chain: Chain, made: Policy) -> None:
    """Have the network adopt a policy, and wait until it is in force."""
    chain.world.policies[made.hash] = made
    submit_activation(chain, made.version, made.body)
    chain.round()
    assert chain.state.control.policy_change is not None
    chain.round(seconds=71)
    assert chain.state.header.policy_hash == made.hash
    chain.policy = made

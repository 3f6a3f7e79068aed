"""From one state and a set of observations to the next state: a pure function that every node computes alike.

Owns the order in which things are decided: time, policy, cuts, frame, reports, settled reservations, requests, new
liquidations. Inputs that the observations name by hash (reports, requests, books, policies) come from `Inputs`; what
this node does not hold is reported all at once, so that it can be fetched. Must not know consensus: an outcome is the
hash of the header that comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from chains.errors import RetryError
from chains.types import ChainId, Hash32
from node.consensus.outcome import requests as owner_requests
from node.consensus.outcome.cuts import ChainAdvance, advance, unstarted
from node.consensus.outcome.draft import Draft
from node.consensus.outcome.observation import ChainObservation, Observation
from node.consensus.outcome.prices import derive_frame, median
from node.consensus.outcome.reports import adopted_digests, apply_report, in_turn
from node.consensus.outcome.reservations import issuing_states, reserve_liquidations, settle, under_way
from node.margin import MarginContext
from node.margin.policy import Policy
from node.margin.screen import Screen
from node.model.frame import Frame
from node.model.header import Header
from node.model.ledger import token_facts
from node.model.merkle import EMPTY_ROOT, MerkleMap
from node.model.network import Network
from node.model.reports import Report
from node.model.requests import OwnerRequest, PolicyActivation, Request, VenueEquivocation
from node.model.state import Control, PolicyChange, State, VenueHead


class InputKind(StrEnum):
    """What can be named by hash."""

    REPORT = "report"
    REQUEST = "request"
    POLICY = "policy"
    BOOK = "book"


@dataclass(frozen=True, slots=True)
class InputRef:
    """One input by its hash; for a BOOK the root of the chain's map."""

    kind: InputKind
    digest: Hash32


class MissingInputs(RetryError):
    """This node does not hold all that the outcome depends on: fetch `refs`, or catch up with the others."""

    reason = "MISSING_INPUTS"

    def __init__(self, refs: tuple[InputRef, ...]) -> None:
        super().__init__("fetch the inputs that the outcome depends on", missing=len(refs))
        self.refs = refs


class Inputs(Protocol):
    """What this node holds. Everything returned has been verified (signatures, hashes, proofs) before."""

    def report(self, digest: Hash32) -> Report | None: ...

    def request(self, digest: Hash32) -> Request | None: ...

    def policy(self, digest: Hash32) -> Policy | None: ...

    def book(self, chain_id: ChainId, root: Hash32) -> MerkleMap | None: ...


def genesis(network: Network, policy: Policy) -> State:
    """The state of sequence 0, before anything was observed. Every node starts from it."""
    unstarted_chains = [unstarted(chain_id) for chain_id in sorted(policy.recipe_by_chain)]
    control = Control(policy.version, tuple(item[1] for item in unstarted_chains), _heads(policy, ()), None, (), ())
    empty = MerkleMap()
    header = Header(
        network.network_id,
        network.digest,
        0,
        0,
        Hash32(bytes(32)),
        policy.hash,
        empty.root,
        empty.root,
        empty.root,
        control.hash(),
        tuple(item[0] for item in unstarted_chains),
    )
    return State(header, dict.fromkeys(policy.recipe_by_chain, empty), empty, empty, Frame.empty(), control)


def derive(
    previous: State,
    observations: Mapping[int, Observation],
    network: Network,
    inputs: Inputs,
    screen: Screen | None = None,
) -> State:
    """The state of `previous.sequence + 1`. Raises MissingInputs; nothing else that depends on the observations.

    `screen` saves work from one state to the next, and changes nothing.
    """
    time_ms = max(previous.header.time_ms + 1, median([item.time_ms for item in observations.values()]))
    sequence = previous.header.sequence + 1
    policy, control = _policy_in_force(previous, time_ms, inputs)
    advances = _advance_chains(previous, control, observations, network, policy, time_ms, inputs)
    reports = adopted_digests(control.venues, observations, policy, network.strong_quorum)
    held = _Held.collect(inputs, previous, advances, reports, owner_requests.offered(observations, network))

    draft = Draft(previous)
    draft.chains = {chain_id: held.books[chain_id] for chain_id in advances}
    chains = {chain_id: item.state for chain_id, item in advances.items()}
    frame = derive_frame(previous.frame, observations, policy, time_ms, network.f)
    tokens = token_facts(draft.chains, policy.token_by_place)
    context = MarginContext(policy, frame.prices, chains, tokens, time_ms)

    heads = {head.venue: head for head in _heads(policy, control.venues)}
    for venue, digest in in_turn(reports, held.reports, sequence):
        heads[venue] = apply_report(
            draft, heads[venue], held.reports[digest], digest, policy.venue_by_id[venue].max_open
        )
    settle(draft, context)
    outflow = under_way(draft, policy)
    owner_requests.apply_owner_requests(
        draft,
        ((digest, item) for digest, item in held.requests.items() if isinstance(item, OwnerRequest)),
        owner_requests.RequestContext(context, sequence, outflow),
    )
    reserve_liquidations(draft, context, outflow, sequence, screen or Screen())

    frozen = {item.first.venue for item in held.requests.values() if isinstance(item, VenueEquivocation)}
    change = owner_requests.scheduled_policy(
        control,
        [(digest, item) for digest, item in held.requests.items() if isinstance(item, PolicyActivation)],
        network,
        policy.timing.policy_timelock,
        time_ms // 1000,
    )
    after = Control(
        control.policy_version,
        tuple(item.control for item in advances.values()),
        tuple(replace(head, frozen=head.frozen or head.venue in frozen) for head in heads.values()),
        change,
        tuple(sorted(draft.reserved)),
        issuing_states(draft, previous),
        tuple(sorted(draft.watched)),
    )
    accounts, obligations = draft.maps()
    header = Header(
        network.network_id,
        network.digest,
        sequence,
        time_ms,
        previous.header.hash(),
        policy.hash,
        frame.map.root,
        obligations.root,
        accounts.root,
        after.hash(),
        tuple(chains.values()),
    )
    return State(header, draft.chains, obligations, accounts, frame, after)


def _policy_in_force(previous: State, time_ms: int, inputs: Inputs) -> tuple[Policy, Control]:
    """The policy of the next state, and the control that it starts from: a waiting change is due by state time."""
    control = previous.control
    change: PolicyChange | None = control.policy_change
    wanted = previous.header.policy_hash
    if change is not None and time_ms >= change.activates_at * 1000:
        wanted = change.policy_hash
        control = replace(control, policy_version=change.version, policy_change=None)
    policy = inputs.policy(wanted)
    if policy is None:
        raise MissingInputs((InputRef(InputKind.POLICY, wanted),))
    return policy, control


def _advance_chains(
    previous: State,
    control: Control,
    observations: Mapping[int, Observation],
    network: Network,
    policy: Policy,
    time_ms: int,
    inputs: Inputs,
) -> dict[ChainId, ChainAdvance]:
    """Every chain of the policy, ascending; one that the policy no longer names is dropped.

    A new one starts empty, and so does one with another vault: what the old vault holds secures nothing any more.
    """
    kept = _same_vaults(previous, policy, inputs)
    states = {state.cut.chain_id: state for state in previous.header.chains if state.cut.chain_id in kept}
    controls = {item.chain_id: item for item in control.chains if item.chain_id in kept}
    votes: dict[ChainId, dict[int, ChainObservation]] = {}
    for node, observation in observations.items():
        for seen in observation.chains:
            votes.setdefault(seen.chain_id, {})[node] = seen
    advances: dict[ChainId, ChainAdvance] = {}
    for chain_id, recipe in sorted(policy.recipe_by_chain.items()):
        fresh_state, fresh_control = unstarted(chain_id)
        advances[chain_id] = advance(
            states.get(chain_id, fresh_state),
            controls.get(chain_id, fresh_control),
            votes.get(chain_id, {}),
            network,
            policy.timing,
            time_ms,
            control.watched_on(recipe),
        )
    return advances


def _same_vaults(previous: State, policy: Policy, inputs: Inputs) -> set[ChainId]:
    """The chains whose vault is still that of the previous state's policy."""
    wanted = previous.header.policy_hash
    before = policy if policy.hash == wanted else inputs.policy(wanted)
    if before is None:
        raise MissingInputs((InputRef(InputKind.POLICY, wanted),))
    vaults = {chain_id: recipe.vault for chain_id, recipe in before.recipe_by_chain.items()}
    return {chain_id for chain_id, recipe in policy.recipe_by_chain.items() if vaults.get(chain_id) == recipe.vault}


def _heads(policy: Policy, known: tuple[VenueHead, ...]) -> tuple[VenueHead, ...]:
    """The heads of the policy's venues and of all that were ever known, ascending."""
    heads = {venue: VenueHead(venue, 0, Hash32(bytes(32)), frozen=False) for venue in policy.venue_by_id}
    heads |= {head.venue: head for head in known}
    return tuple(heads[venue] for venue in sorted(heads))


@dataclass(frozen=True, slots=True)
class _Held:
    """The inputs that an outcome depends on, all of them."""

    books: dict[ChainId, MerkleMap]
    reports: dict[Hash32, Report]
    requests: dict[Hash32, Request]

    @classmethod
    def collect(
        cls,
        inputs: Inputs,
        previous: State,
        advances: Mapping[ChainId, ChainAdvance],
        reports: Mapping[str, tuple[Hash32, ...]],
        requests: tuple[Hash32, ...],
    ) -> _Held:
        missing: list[InputRef] = []
        held = cls({}, {}, {})
        for chain_id, item in advances.items():
            book = _book(inputs, previous, chain_id, item.state.root)
            if book is None:
                missing.append(InputRef(InputKind.BOOK, item.state.root))
            else:
                held.books[chain_id] = book
        for digest in (digest for digests in reports.values() for digest in digests):
            report = inputs.report(digest)
            if report is None:
                missing.append(InputRef(InputKind.REPORT, digest))
            else:
                held.reports[digest] = report
        for digest in requests:
            request = inputs.request(digest)
            if request is None:
                missing.append(InputRef(InputKind.REQUEST, digest))
            else:
                held.requests[digest] = request
        if missing:
            raise MissingInputs(tuple(missing))
        return held


def _book(inputs: Inputs, previous: State, chain_id: ChainId, root: Hash32) -> MerkleMap | None:
    """A chain's holdings under a root: nothing yet, those of before, or those that were proven ahead."""
    last = previous.chains.get(chain_id, MerkleMap())
    if root == EMPTY_ROOT:
        return MerkleMap()
    return last if last.root == root else inputs.book(chain_id, root)

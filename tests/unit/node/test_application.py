"""What a node does when it lacks what the others agreed on, or holds something else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from chains.errors import HypothecError, RetryError
from chains.proofs.keccak import keccak
from chains.simulated.adapter import SimulatedAdapter
from chains.simulated.endpoint import SimulatedChain
from chains.types import Hash32
from hypothec.v1 import peer_service_pb2 as pb
from node import application
from node.application import MarginApplication, Parts
from node.attestation.attestor import Attestor, ChainSlot
from node.consensus.outcome.cuts import unstarted
from node.consensus.outcome.observation import Observation
from node.consensus.outcome.transition import InputKind, InputRef, derive
from node.consensus.protocol.effects import Attributed, Committed
from node.ingest.follower import ChainFollower
from node.ingest.observer import Observer
from node.margin.policy import Policy
from node.model.books import BookChanges
from node.model.certificate import CommitCertificate
from node.model.codec import Malformed
from node.model.ledger import Obligations, VenueObligation
from node.model.merkle import EMPTY_ROOT, MerkleMap
from node.model.reports import Report
from node.model.requests import encode_request
from node.model.state import PolicyChange, State
from node.peers.inputs import Fetcher
from tests import kit
from tests.kit import ETHER, NETWORK_ID, World
from tests.unit.ingest.desk import Desk


@dataclass
class Journal:
    slots: list[ChainSlot] = field(default_factory=list)

    async def sign_once(self, slots: Sequence[ChainSlot]) -> None:
        self.slots += slots


@dataclass
class Disk:
    saved: list[State] = field(default_factory=list)

    async def save(self, state: State, certificate: CommitCertificate, observations: Attributed = ()) -> None:
        self.saved.append(state)


@dataclass
class Others:
    """Peers with bodies: each is asked in turn, as the fetcher of a node does."""

    bodies: list[bytes] = field(default_factory=list)

    async def fetch_input(self, ref: InputRef, take: Callable[[bytes], Awaitable[None]]) -> None:
        for body in self.bodies:
            try:
                await take(body)
            except HypothecError:
                continue
            return
        raise RetryError("nobody has it")

    async def fetch_state(self, holders: Sequence[int], min_sequence: int) -> tuple[State, CommitCertificate]:
        raise RetryError("nobody has it")


@dataclass
class Node:
    desk: Desk
    others: Others = field(default_factory=Others)
    disk: Disk = field(default_factory=Disk)
    told: list[bytes] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        network = kit.network()
        self.observer = Observer({}, self.desk.inbox, lambda: kit.NOW_MS)
        attestor = Attestor(network, 0, kit.key("node 0"), Journal(), self.told.append, lambda *_: None)
        self.application = MarginApplication(
            Parts(
                network,
                self.disk,
                self.others,
                self.desk.inbox,
                self.observer,
                {},
                attestor,
                self.desk.events,
                lambda: kit.NOW_MS,
                self.on_policy,
                lambda state, _: self.shown.append(state.header.sequence),
            ),
            self.desk.state,
            None,
        )

    async def on_policy(self, policy: Policy) -> None:
        pass

    def observations(self, world: World) -> Attributed:
        raw = world.observe({}).encode()
        return tuple((node, raw) for node in range(4))

    async def outcome(self, world: World) -> Hash32:
        return await self.application.derive(1, self.observations(world))


@pytest.fixture
def node(desk: Desk) -> Node:
    return Node(desk)


def histories(desk: Desk) -> tuple[Report, Report]:
    ours, theirs = (replace(desk.venue).report(kit.entry(desk.alice.account, size * ETHER, 2000)) for size in (1, 2))
    return ours, theirs


def expected(node: Node, world: World) -> Hash32:
    """The outcome at a node that holds everything."""
    world.policies[kit.policy().hash] = kit.policy()
    seen = {index: Observation.decode(raw) for index, raw in node.observations(world)}
    return derive(node.desk.state, seen, kit.network(), world).header.hash()


async def test_a_node_that_was_shown_another_history_of_a_venue_follows_the_others(node: Node) -> None:
    ours, theirs = histories(node.desk)
    await node.desk.inbox.submit_report(ours.encode())
    world = World()
    world.publish(theirs)
    node.others.bodies = [theirs.encode()]
    assert await node.outcome(world) == expected(node, world)


async def test_a_node_follows_the_others_on_a_request_that_it_would_not_have_taken_yet(node: Node) -> None:
    early = replace(node.desk.alice, nonce=7).authorize()
    world = World()
    world.submit(early)
    node.others.bodies = [encode_request(early)]
    assert await node.outcome(world) == expected(node, world)


async def test_a_body_whose_signature_is_not_the_authors_is_asked_of_the_next_peer(node: Node) -> None:
    request = node.desk.alice.authorize()
    world = World()
    world.submit(request)
    node.others.bodies = [encode_request(replace(request, signature=bytes(65))), encode_request(request)]
    assert await node.outcome(world) == expected(node, world)


async def test_what_no_peer_has_stops_this_round_and_nothing_else(node: Node) -> None:
    world = World()
    world.submit(node.desk.alice.authorize())
    with pytest.raises(RetryError):
        await node.outcome(world)
    node.others.bodies = [encode_request(replace(node.desk.alice, nonce=1).authorize())]
    assert await node.outcome(world) == expected(node, world)


async def test_a_commit_is_on_disk_before_anything_of_it_is_told(node: Node) -> None:
    outcome = await node.outcome(World())
    certificate = CommitCertificate(kit.network().digest, 1, 1, outcome, 7, (bytes(64),) * 3)
    await node.application.committed(Committed(1, outcome, certificate, node.observations(World())))
    assert [state.header.hash() for state in node.disk.saved] == [outcome]
    assert node.shown == [1]
    assert len(node.told) == 1


# === Peers, one after the other ===


@dataclass
class Links:
    """Node 1 tells lies, node 2 is away, node 3 has what is asked."""

    lie: bytes
    truth: bytes
    asked: list[int] = field(default_factory=list)

    async def fetch_body(self, peer: int, kind: pb.BodyKind.ValueType, digest: Hash32) -> bytes:
        self.asked.append(peer)
        if peer == 2:
            raise RetryError("away")
        return self.lie if peer == 1 else self.truth

    async def fetch_state(self, peer: int, min_sequence: int) -> tuple[State, CommitCertificate]:
        self.asked.append(peer)
        raise RetryError("away")


async def test_every_peer_is_asked_until_one_gives_what_holds(desk: Desk) -> None:
    request = desk.alice.authorize()
    links = Links(encode_request(replace(request, signature=bytes(65))), encode_request(request))
    inputs = Fetcher(links, (1, 2, 3))

    async def take(raw: bytes) -> None:
        desk.inbox.take_request(raw)

    digest = request.digest(NETWORK_ID)
    await inputs.fetch_input(InputRef(InputKind.REQUEST, digest), take)
    assert desk.inbox.request(digest) == request
    firsts = set()
    for number in range(3):
        links.asked.clear()
        await inputs.fetch_input(InputRef(InputKind.REQUEST, Hash32(bytes([number]) + digest[1:])), take)
        firsts.add(links.asked[0])
    assert firsts == {1, 2, 3}
    with pytest.raises(RetryError):
        await Fetcher(links, (1, 2)).fetch_input(InputRef(InputKind.REQUEST, digest), take)


async def test_a_state_is_asked_of_those_who_certified_it_first(desk: Desk) -> None:
    links = Links(b"", b"")
    with pytest.raises(RetryError):
        await Fetcher(links, (1, 2, 3)).fetch_state((3,), 7)
    assert links.asked == [3, 1, 2]


# === Books ===


def certifying(node: Node, world: World) -> tuple[State, Attributed]:
    """A state that waits for the roots of one cut, and observations in which three nodes say which."""
    made = kit.book(kit.cut(kit.ONE, 1), {node.desk.alice.account: ETHER})
    world.add_book(made)
    world.policies[kit.policy().hash] = kit.policy()
    seen = {index: Observation.decode(world.observe({}).encode()) for index in range(4)}
    pending = derive(node.desk.state, seen, kit.network(), world)
    cuts = {item.chain_id: item.pending for item in pending.control.chains}
    return pending, tuple((index, world.observe(cuts).encode()) for index in range(3))


async def test_a_node_that_could_not_prove_a_certified_book_gets_it_from_one_that_could(node: Node) -> None:
    world = World()
    state, observations = certifying(node, world)
    (book,) = world.books.values()
    node.application.state = state
    wrong = BookChanges(kit.ONE, EMPTY_ROOT, {node.desk.alice.account: b"more"})
    elsewhere = BookChanges(kit.ONE, Hash32(b"e" * 32), {})
    right = BookChanges.between(kit.ONE, MerkleMap(), book.holdings)
    node.others.bodies = [b"", wrong.encode(), elsewhere.encode()]
    with pytest.raises(RetryError):
        await node.application.derive(2, observations)
    node.others.bodies.append(right.encode())
    outcome = await node.application.derive(2, observations)
    seen = {index: Observation.decode(raw) for index, raw in observations}
    assert derive(state, seen, kit.network(), world).header.hash() == outcome


async def test_who_could_prove_a_book_tells_what_leads_to_it(node: Node) -> None:
    chain = SimulatedChain(kit.ONE, start=kit.NOW_MS // 1000)
    recipe = kit.policy().recipe_by_chain[kit.ONE]
    adapter = SimulatedAdapter(chain, recipe, lambda _: None)
    follower = ChainFollower(adapter, recipe, unstarted(kit.ONE)[0], MerkleMap(), node.desk.events)
    chain.deposit(node.desk.alice.account, kit.TOKEN, ETHER)
    at = chain.mine()
    await follower.poll()
    vote = follower.vote(at)
    assert vote is not None
    able = Observer({kit.ONE: follower}, node.desk.inbox, lambda: kit.NOW_MS)
    raw = able.changes_to(vote.root, node.desk.state)
    assert raw is not None
    node.observer.take_book(raw, vote.root, node.desk.state)
    taken = node.observer.book(kit.ONE, vote.root)
    assert taken is not None
    assert taken.root == vote.root
    assert able.changes_to(Hash32(bytes(32)), node.desk.state) is None
    node.observer.committed()
    assert node.observer.book(kit.ONE, vote.root) is None


def test_changes_of_a_book_have_one_form() -> None:
    changes = BookChanges(kit.ONE, EMPTY_ROOT, {b"a" * 32: b"leaf", b"b" * 32: None})
    raw = changes.encode()
    assert BookChanges.decode(raw) == changes
    for bad in (b"", raw[:-1], raw + b"\0", b"\2" + raw[1:]):
        with pytest.raises(Malformed):
            BookChanges.decode(bad)


# === Looking at accounts before a round has to ===


@pytest.fixture
async def indebted(desk: Desk) -> Node:
    """Nine accounts with a debt, and a policy that waits for its time."""
    owed = Obligations((VenueObligation("demo", 1, (), -1, 0),)).encode()
    accounts: dict[bytes, bytes | None] = {keccak(bytes([number])): owed for number in range(9)}
    coming = kit.policy(2)
    await desk.inbox.admit_policy(coming.body)
    change = PolicyChange(2, coming.hash, 2**40)
    desk.state = replace(
        desk.state,
        header=replace(desk.state.header, sequence=5),
        obligations=desk.state.obligations.updated(accounts),
        control=replace(desk.state.control, policy_change=change),
    )
    return Node(desk)


def evaluations(node: Node, policy: Policy) -> int:
    known = node.application._screen._by_policy.get(policy.hash)
    return known.evaluations if known is not None else 0


async def test_after_a_start_everybody_is_looked_at_and_others_get_their_turn(
    indebted: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "LOOKED_AT_AT_ONCE", 2)
    resuming, seen = asyncio.create_task(indebted.application.resume()), []
    while not resuming.done():
        await asyncio.sleep(0)
        seen.append(evaluations(indebted, kit.policy()))
    assert seen[-1] == 9
    assert all(after - before <= 2 for before, after in pairwise(seen))


async def test_under_a_policy_that_waits_accounts_are_looked_at_some_with_each_state(
    indebted: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "LOOKED_AT_AHEAD", 4)
    node, seen = indebted, []
    for sequence in (6, 7, 8):
        observations = node.observations(World())
        outcome = await node.application.derive(sequence, observations)
        certificate = CommitCertificate(kit.network().digest, 1, sequence, outcome, 7, (bytes(64),) * 3)
        await node.application.committed(Committed(sequence, outcome, certificate, observations))
        seen.append(evaluations(node, kit.policy(2)))
    assert seen[-1] == 9
    assert all(0 < after - before <= 4 for before, after in pairwise((0, *seen)))
    assert evaluations(node, kit.policy()) == 9

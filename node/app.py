"""The one place where the parts of a node are put together: what is opened, in which order, and who talks to whom.

Read `run_node` from top to bottom: each part is opened after those that it needs, and closed before them.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import coincurve
from nacl.signing import SigningKey
from prometheus_client import CollectorRegistry

from chains.adapter import AdapterFactory, Beacon, ChainAdapter, Endpoints, Rollup, Settlement, Terms
from chains.errors import ConfigError, HypothecError
from chains.registry import KINDS, open_adapter
from chains.types import ChainId, Hash32
from hypothec.v1 import peer_service_pb2 as pb
from node.application import MarginApplication, Parts
from node.attestation.attestor import Attestor
from node.config import ChainTable, NodeConfig, read_secret
from node.consensus.outcome.observation import MAX_HEADS, MAX_OBSERVATION_BYTES
from node.consensus.outcome.transition import genesis
from node.consensus.protocol.config import MILLISECOND, SECOND, ConsensusConfig, Limits, Timing
from node.consensus.runtime import ConsensusRuntime, Ports
from node.ingest.follower import ChainFollower
from node.ingest.inbox import Inbox
from node.ingest.observer import Observer
from node.margin.policy import Policy
from node.model.certificate import CommitCertificate
from node.model.identity import Identity, Role, TlsMaterial
from node.model.network import Network
from node.model.signatures import address_of
from node.model.state import State
from node.ops.endpoints import EndpointGauges
from node.ops.meter import Meter
from node.ops.server import serve_ops
from node.ops.settlements import SettlementGauges
from node.peers.inputs import Fetcher
from node.peers.link import PeerAddress
from node.peers.transport import PeerLimits, Peers
from node.relay.calls import Job
from node.relay.ports import Turn
from node.relay.relayer import ChainRelay, RelayTiming
from node.rpc.answers import Answers
from node.rpc.operator import OperatorService
from node.rpc.owner import OwnerService
from node.rpc.peer import PeerService
from node.rpc.server import Audience, RpcServer, ServerLimits, Services
from node.rpc.venue import VenueService
from node.serving import PeerBodies, PeerFrames, ReleaseBoard, StateView, jobs_by_chain
from node.status import Status, Watch, keep_in_background
from node.store.ports import Store
from node.store.sqlite.store import open_store

STORE_FILE = "node.sqlite"
KEPT_STATES = 10_000
"""Headers, certificates and settled transactions that the store keeps."""
_PRUNE_EVERY_S = 600.0
_DEFAULT_PUBLISH_S = 60


async def run_node(config: NodeConfig, stop: asyncio.Event, kinds: Mapping[str, AdapterFactory] = KINDS) -> None:
    """Run a node until `stop` is set, with adapters for these kinds of chains.

    Raises ConfigError for what cannot be used, StoreError for a store in trouble.
    """
    network, file = config.network, config.file
    secrets = _Secrets.read(config)
    consensus = consensus_config(network)
    names = {peer.index: peer.name for peer in file.peers} | {file.index: file.name}
    meter = Meter(CollectorRegistry(), file.name)
    async with AsyncExitStack() as opened:
        store: Store = await opened.enter_async_context(
            open_store(config.path(file.data_dir) / STORE_FILE, network.network_id)
        )
        tasks: set[asyncio.Task[None]] = set()
        watch = Watch(meter, keep_in_background(store.bodies, meter, tasks))
        links = PeerLimits.carrying(consensus.max_message)
        peers = await opened.enter_async_context(
            Peers(network, _peer_addresses(config), secrets.tls, meter.registry, links)
        )
        state, certificate = await _restore_state(store, network, config.policy)
        inbox = await _restore_inbox(store, network, config.policy, _Gossip(peers), meter, state)
        followers = await _open_followers(opened, config, secrets.file_seal, kinds, inbox, state, watch, meter)
        meter.registry.register(EndpointGauges(lambda: {chain: each.standings for chain, each in followers.items()}))

        def settlements() -> dict[ChainId, Settlement | None]:
            return {chain: each.settlement for chain, each in followers.items()}

        meter.registry.register(SettlementGauges(settlements))
        observer = Observer(followers, inbox, _clock_ms)
        relays = await _open_relays(opened, config, store, meter)
        publish_s = file.relay.state_interval_s if file.relay is not None else _DEFAULT_PUBLISH_S
        board = ReleaseBoard(network, store.attestations, store.states, publish_s, jobs_by_chain(relays, meter))
        attestor = Attestor(
            network,
            file.index,
            coincurve.PrivateKey(secrets.chain_key),
            store.chain_signatures,
            peers.channel(pb.FRAME_KIND_CHAIN_SIGNATURES).broadcast,
            board.on_bound,
        )
        application = MarginApplication(
            Parts(
                network,
                store.states,
                Fetcher(peers, [peer.index for peer in file.peers]),
                inbox,
                observer,
                followers,
                attestor,
                meter,
                _clock_ms,
                _Admission(followers, meter).admit,
                _Announcement(board, meter).on_state,
            ),
            state,
            certificate,
        )
        ports = Ports(
            store.journal(consensus), peers.channel(pb.FRAME_KIND_CONSENSUS), application, _Monotonic(), watch
        )
        await application.resume()
        runtime = ConsensusRuntime(
            consensus, file.index, _Ed25519(secrets.consensus_key), ports, installed=state.header.sequence
        )
        frames = PeerFrames(runtime, attestor, inbox, meter)
        view = StateView(application)
        answers = Answers(view, inbox, settlements)
        status = Status(
            network,
            file.index,
            names,
            application,
            attestor,
            followers,
            watch,
            store.bodies,
            peers.status,
            inbox.policy,
            _clock_ms,
            frozenset(ChainId(chain.id) for chain in file.chains),
        )
        services = Services(
            VenueService(network, answers, inbox, board, inbox),
            OwnerService(network, view, answers, inbox, board, inbox),
            PeerService(
                {name: index for index, name in names.items()},
                frames,
                PeerBodies(store.bodies, lambda root: observer.changes_to(root, application.state)),
                view,
                meter.registry,
            ),
            OperatorService(network, status, inbox),
        )
        await opened.enter_async_context(runtime)
        limits = ServerLimits(max_frame_bytes=links.lanes.max_frame_bytes)
        await opened.enter_async_context(
            RpcServer(_addresses(config), services, secrets.tls, view, meter.registry, limits)
        )
        await opened.enter_async_context(
            serve_ops(file.listen.metrics, meter.registry, status.not_ready, lambda: tuple(watch.rounds))
        )
        group = await opened.enter_async_context(asyncio.TaskGroup())
        background = [
            group.create_task(frames.run()),
            group.create_task(board.run()),
            group.create_task(_prune(store, meter)),
        ]
        polls = {ChainId(chain.id): chain.poll_ms / 1000 for chain in file.chains}
        background += [
            group.create_task(follower.run(polls.get(chain_id, 1.0))) for chain_id, follower in followers.items()
        ]
        meter.count("node.started", sequence=state.header.sequence, origin=store.origin)
        await stop.wait()
        meter.count("node.stopping", sequence=application.state.header.sequence)
        for task in background:
            task.cancel()


def consensus_config(network: Network) -> ConsensusConfig:
    """What consensus needs of the network: the pace follows from its round."""
    pace = network.round_ms * MILLISECOND
    timing = Timing(delta_round=pace, delta_progress=max(3 * SECOND, 3 * pace))
    keys = tuple(node.consensus_key for node in network.nodes)
    return ConsensusConfig(network.digest, keys, network.f, Limits(MAX_OBSERVATION_BYTES), timing)


# === Keys, clocks, addresses ===


@dataclass(frozen=True, slots=True, repr=False)
class _Secrets:
    consensus_key: bytes
    chain_key: bytes
    tls: TlsMaterial

    @property
    def file_seal(self) -> bytes:
        """What binds the adapters' files to this node: nobody else can write one that it believes."""
        return hmac.digest(self.consensus_key, b"hypothec/file-seal/v1", "sha256")

    @classmethod
    def read(cls, config: NodeConfig) -> _Secrets:
        """Raises ConfigError for keys that are unreadable, or that are not those of the node's place in the network."""
        file = config.file
        secrets = cls(
            read_secret(config.path(file.consensus_key)),
            read_secret(config.path(file.chain_key)),
            TlsMaterial(*(_pem(config, name) for name in (file.tls.authority, file.tls.certificate, file.tls.key))),
        )
        place = config.network.nodes[file.index]
        if bytes(SigningKey(secrets.consensus_key).verify_key) != place.consensus_key:
            raise ConfigError("use the consensus key that the network names for this node", node=file.name)
        if address_of(coincurve.PrivateKey(secrets.chain_key).public_key) != place.signer:
            raise ConfigError("use the chain key that the network names for this node", node=file.name)
        return secrets


def _pem(config: NodeConfig, name: str) -> bytes:
    try:
        return config.path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"make the file readable: {error.strerror}", file=config.path(name)) from error


class _Ed25519:
    def __init__(self, key: bytes) -> None:
        self._key = SigningKey(key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


class _Monotonic:
    def now(self) -> int:
        return time.monotonic_ns()


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


def _peer_addresses(config: NodeConfig) -> list[PeerAddress]:
    return [PeerAddress(peer.index, Identity(Role.NODE, peer.name), peer.address) for peer in config.file.peers]


def _addresses(config: NodeConfig) -> dict[Audience, str]:
    listen = config.file.listen
    return {
        Audience.PEERS: listen.peers,
        Audience.VENUES: listen.venues,
        Audience.OWNERS: listen.owners,
        Audience.OPERATORS: listen.operator,
    }


# === What was on disk ===


async def _restore_state(store: Store, network: Network, policy: Policy) -> tuple[State, CommitCertificate | None]:
    loaded = await store.states.load()
    if loaded is None:
        return genesis(network, policy), None
    return loaded[0], loaded[1].certificate


async def _restore_inbox(
    store: Store, network: Network, policy: Policy, gossip: _Gossip, meter: Meter, state: State
) -> Inbox:
    inbox = Inbox(network, store.bodies, gossip, meter)
    inbox.restore(
        # The older ones are adopted, and only kept for peers: they could be gigabytes.
        await store.bodies.reports({head.venue: head.sequence - MAX_HEADS for head in state.control.venues}),
        await store.bodies.requests(),
        [Policy.parse(body) for body in await store.bodies.policies()],
    )
    await inbox.admit_policy(policy.body)
    await inbox.committed(state)
    if inbox.policy(state.header.policy_hash) is None:
        raise ConfigError("give the policy in force, which the store does not have", policy=state.header.policy_hash)
    return inbox


async def _prune(store: Store, meter: Meter) -> None:
    while True:
        await asyncio.sleep(_PRUNE_EVERY_S)
        try:
            await store.prune(KEPT_STATES)
        except HypothecError as error:  # a full disk, say: what must be written down says so by itself
            meter.fault("store.not_pruned", error)


# === Chains ===


async def _open_followers(
    opened: AsyncExitStack,
    config: NodeConfig,
    seal: bytes,
    kinds: Mapping[str, AdapterFactory],
    inbox: Inbox,
    state: State,
    watch: Watch,
    meter: Meter,
) -> dict[ChainId, ChainFollower]:
    policy = inbox.policy(state.header.policy_hash) or config.policy
    followers: dict[ChainId, ChainFollower] = {}
    adapters: dict[ChainId, ChainAdapter] = {}
    for chain in sorted(config.file.chains, key=lambda chain: chain.rollup is not None):  # an L1 before its rollups
        chain_id = ChainId(chain.id)
        recipe = policy.recipe_by_chain.get(chain_id)
        if recipe is None:
            continue
        rollup = _rollup(config, chain, seal, adapters)
        endpoints = Endpoints(chain.urls, chain.quorum, _beacon(config, chain, seal), _terms(chain), rollup)
        adapter = open_adapter(recipe, endpoints, watch.endpoint_fault, kinds)
        adapters[chain_id] = await opened.enter_async_context(adapter)
        followers[chain_id] = ChainFollower(
            adapter, recipe, state.header.chain(chain_id), state.chains[chain_id], meter
        )
        followers[chain_id].agreed(state.control)
    return followers


def _beacon(config: NodeConfig, chain: ChainTable, seal: bytes) -> Beacon | None:
    table = chain.beacon
    if table is None:
        return None
    state = config.path(config.file.data_dir) / f"light-client-{chain.id}.json"
    return Beacon(table.endpoints, table.network, Hash32(table.checkpoint), state, seal, table.max_age_s)


def _rollup(
    config: NodeConfig, chain: ChainTable, seal: bytes, adapters: Mapping[ChainId, ChainAdapter]
) -> Rollup | None:
    if chain.rollup is None:
        return None
    rollup = chain.rollup.rollup
    state = config.path(config.file.data_dir) / f"rollup-{chain.id}.json"
    return replace(rollup, l1=adapters.get(rollup.chain_id), state=state, seal=seal)


def _terms(chain: ChainTable) -> dict[str, Terms]:
    return {endpoint.url: Terms(endpoint.per_second, endpoint.weight) for endpoint in chain.endpoints}


@dataclass(frozen=True, slots=True)
class _Admission:
    """Tells the followers what a new policy admits. A chain without endpoints here is left to the other nodes."""

    followers: dict[ChainId, ChainFollower]
    meter: Meter

    async def admit(self, policy: Policy) -> None:
        for chain_id, recipe in policy.recipe_by_chain.items():
            follower = self.followers.get(chain_id)
            if follower is None:
                self.meter.count("policy.chain_without_endpoints", chain=chain_id)
            else:
                follower.admit(recipe)


@dataclass(frozen=True, slots=True)
class _Announcement:
    """Shows the newest state to the operator, and to those who wait for what is signed under it."""

    board: ReleaseBoard
    meter: Meter

    def on_state(self, state: State, policy: Policy) -> None:
        self.meter.installed(state.header.sequence, state.header.time_ms, _clock_ms())
        self.board.on_state(state, policy)


async def _open_relays(
    opened: AsyncExitStack, config: NodeConfig, store: Store, meter: Meter
) -> dict[ChainId, Callable[[Job], None]]:
    relay = config.file.relay
    if relay is None:
        return {}
    key = read_secret(config.path(relay.key_file))
    turn = Turn(config.file.index, config.network.n)
    timing = RelayTiming(stagger=relay.stagger_ms / 1000)
    submits: dict[ChainId, Callable[[Job], None]] = {}
    for chain in config.file.chains:
        chain_id = ChainId(chain.id)
        url = chain.submit or chain.urls[0]
        opened_relay = await opened.enter_async_context(
            ChainRelay(chain_id, url, key, store.outbox, turn, meter, timing, relay.max_fee_gwei * 10**9)
        )
        submits[chain_id] = opened_relay.submit
    return submits


# === Peers ===


@dataclass(frozen=True, slots=True)
class _Gossip:
    peers: Peers

    def report(self, raw: bytes) -> None:
        self.peers.broadcast(pb.FRAME_KIND_GOSSIP_REPORT, raw)

    def request(self, raw: bytes) -> None:
        self.peers.broadcast(pb.FRAME_KIND_GOSSIP_REQUEST, raw)

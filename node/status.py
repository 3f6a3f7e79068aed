"""What the operator asks, in the words of its service: who is behind and why, who signed, what was caught."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from chains.errors import InputError, PeerError
from chains.types import ChainId, Disagreement, EndpointFault, EndpointStanding, Hash32
from hypothec.v1 import operator_service_pb2 as pb
from hypothec.v1 import state_pb2
from node.application import CLOCK_TOLERANCE_MS, MarginApplication
from node.attestation.attestor import Attestor
from node.attestation.describe import describe_state
from node.attestation.statements import STATE_PURPOSE, statements
from node.consensus.protocol.statements import Evidence
from node.ingest.follower import ChainFollower
from node.margin.policy import Policy
from node.model.header import ChainStatus
from node.model.network import Network
from node.ops.meter import Meter
from node.peers.link import LinkStatus
from node.rpc.settled import describe_settlement
from node.store.ports import Bodies

KEPT_ROUNDS = 4096
KEPT_EVIDENCE = 64
"""Equivocations of one node that are kept from one start of this node to the next."""
STALE_AFTER_MS = 10_000
"""A state older than this makes the node not ready."""


@dataclass(slots=True)
class EndpointRecord:
    """What one endpoint was caught at."""

    faults: int = 0
    reason: str = ""


@dataclass(slots=True)
class Watch:
    """Notes what happens to the node, as its parts report it: consensus (its Monitor), adapters (their FaultSink)."""

    meter: Meter
    keep_evidence: Callable[[Evidence], None]
    rounds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_ROUNDS))
    endpoints: dict[tuple[ChainId, str], EndpointRecord] = field(default_factory=dict)
    heard: dict[int, float] = field(default_factory=dict)
    epoch: int = 0
    leader: int = 0

    def endpoint_fault(self, fault: EndpointFault) -> None:
        record = self.endpoints.setdefault((fault.chain_id, fault.endpoint), EndpointRecord())
        record.faults += 1
        record.reason = fault.reason
        self.meter.endpoint_fault(fault)

    # === the Monitor of consensus ===

    def peer_fault(self, peer: int, error: PeerError) -> None:
        self.meter.fault("peer.fault", error, peer=peer)

    def evidence(self, evidence: Evidence) -> None:
        self.meter.count("peer.equivocated", peer=evidence.signer)
        self.keep_evidence(evidence)

    def epoch_entered(self, epoch: int, leader: int) -> None:
        self.epoch, self.leader = epoch, leader
        self.meter.count("epoch.entered", epoch=epoch, leader=leader)

    def round_done(self, seq: int, nanoseconds: int) -> None:
        self.rounds.append(nanoseconds / 1e6)
        self.meter.round_seconds.observe(nanoseconds / 1e9)

    def dropped(self, peer: int) -> None:
        self.meter.count("peer.dropped", peer=peer)

    def application_failed(self, doing: str, error: BaseException) -> None:
        self.meter.fault("round.failed", error, doing=doing)


@dataclass(frozen=True, slots=True)
class Status:
    """The operator's view (rpc's StatusReader), and why the node is not ready.

    `names` are by node index; `clock_ms` is unix time; `configured` the chains that have endpoints in node.toml.
    """

    network: Network
    me: int
    names: Mapping[int, str]
    application: MarginApplication
    attestor: Attestor
    followers: Mapping[ChainId, ChainFollower]
    watch: Watch
    bodies: Bodies
    links: Callable[[], tuple[LinkStatus, ...]]
    policy: Callable[[Hash32], Policy | None]
    clock_ms: Callable[[], int]
    configured: frozenset[ChainId]

    def not_ready(self) -> list[str]:
        """Why the node is not ready, a sentence each."""
        state = self.application.state
        if state.header.sequence == 0:
            connected = sum(link.connected for link in self.links())
            return [f"no state yet: connected to {connected} of {self.network.n - 1} peers"]
        age = self.clock_ms() - state.header.time_ms
        return [f"the newest state is {age} ms old"] if age > STALE_AFTER_MS else []

    def status(self) -> pb.GetStatusResponse:
        state = self.application.state
        age = max(0, self.clock_ms() - state.header.time_ms)
        return pb.GetStatusResponse(
            node=self.me,
            version=version("hypothec"),
            epoch=self.watch.epoch,
            leader=self.watch.leader,
            state=describe_state(state.header) if state.header.sequence else None,
            state_age_ms=age,
            peers=[self._peer(link) for link in self.links()],
            chains=[
                self._chain(chain_id, follower)
                for chain_id, follower in sorted(self.followers.items())
                if chain_id in self.application.state.chains  # and not given up by a policy
            ]
            + [self._left_to_others(chain_id) for chain_id in self._unfollowed()],
            signing=self._signing(),
            advice=self._advice(age),
        )

    async def evidence(self, page_size: int, page_token: str) -> pb.ListEvidenceResponse:
        try:
            start = int(page_token or "0")
        except ValueError:
            start = -1
        if start < 0:
            raise InputError("give a page token that this node made", page_token=page_token)
        newest_first = tuple(reversed(await self.bodies.evidence()))
        page = newest_first[start : start + page_size]
        more = start + page_size < len(newest_first)
        return pb.ListEvidenceResponse(
            evidence=[
                pb.EvidenceRecord(against=f"node:{item.signer}", reason="EQUIVOCATION", body=item.encode())
                for item in page
            ],
            next_page_token=str(start + page_size) if more else "",
        )

    def _peer(self, link: LinkStatus) -> pb.PeerStatus:
        index = link.peer.index
        return pb.PeerStatus(
            node=index,
            name=self.names[index],
            connected=link.connected,
            sequence=self.application.state.header.sequence if self._signed_newest(index) else 0,
            dropped=link.dropped,
            reason=link.reason,
        )

    def _signed_newest(self, node: int) -> bool:
        certificate = self.application.certificate
        return certificate is not None and node in certificate.signer_indices

    def _chain(self, chain_id: ChainId, follower: ChainFollower) -> pb.ChainFollowing:
        certified = self.application.state.header.chain(chain_id)
        error = follower.last_error
        reason = str(error) if error is not None else ""
        if not reason and certified.status is not ChainStatus.LIVE:
            reason = f"the network holds the chain for {certified.status.name}"
        return pb.ChainFollowing(
            chain_id=chain_id,
            certified_height=certified.cut.height,
            proven_height=follower.proven_height,
            status=state_pb2.ChainStatus.ValueType(certified.status),
            endpoints=[self._endpoint(chain_id, standing) for standing in follower.standings],
            reason=reason,
            disagreements=[describe_disagreement(found) for found in follower.disagreements],
            settlement=(
                describe_settlement(chain_id, settlement, self.application.state.header)
                if (settlement := follower.settlement) is not None
                else None
            ),
        )

    def _unfollowed(self) -> list[ChainId]:
        """The chains of the state that were added since this node was started, or that it has no endpoints of."""
        return sorted(self.application.state.chains.keys() - self.followers.keys())

    def _left_to_others(self, chain_id: ChainId) -> pb.ChainFollowing:
        certified = self.application.state.header.chain(chain_id)
        return pb.ChainFollowing(
            chain_id=chain_id,
            certified_height=certified.cut.height,
            status=state_pb2.ChainStatus.ValueType(certified.status),
            reason=self._how_to_follow(chain_id),
        )

    def _how_to_follow(self, chain_id: ChainId) -> str:
        if chain_id in self.configured:
            return "the policy has added it since this node was started: restart the node to follow it"
        return "this node does not follow it: give its endpoints as [[chains]] in node.toml, and restart the node"

    def _endpoint(self, chain_id: ChainId, standing: EndpointStanding) -> pb.EndpointStatus:
        record = self.watch.endpoints.get((chain_id, standing.name), EndpointRecord())
        return describe_endpoint(standing, record)

    def _signing(self) -> list[pb.SigningStatus]:
        state = self.application.state
        policy = self.policy(state.header.policy_hash)
        if policy is None or state.header.sequence == 0:
            return []
        found = []
        for item in statements(state, self.network, policy):
            if item.purpose != STATE_PURPOSE:
                continue
            holders = set(self.attestor.collector.holders(item.digest))
            signers = [
                pb.SignerStatus(
                    node=node, signed=node in holders, reason="" if node in holders else "no signature came from it"
                )
                for node in range(self.network.n)
            ]
            found.append(
                pb.SigningStatus(chain_id=item.chain_id, sequence=item.sequence, needed=item.quorum, signers=signers)
            )
        return found

    def _advice(self, age: int) -> list[str]:
        advice = self.not_ready()
        advice += [
            f"look at {self.names[link.peer.index]}: {link.reason}" for link in self.links() if not link.connected
        ]
        if self.application.state.header.sequence and abs(age) > CLOCK_TOLERANCE_MS:
            advice.append("check this node's clock against the others'")
        advice += [
            f"chain {chain_id}: {follower.last_error}"
            for chain_id, follower in sorted(self.followers.items())
            if follower.last_error is not None
        ]
        advice += [
            f"chain {chain_id}: its sequencer has made no final block for {found.silent} s"
            for chain_id, follower in sorted(self.followers.items())
            if (found := follower.settlement) is not None and found.halted
        ]
        advice += [f"chain {chain_id}: {self._how_to_follow(chain_id)}" for chain_id in self._unfollowed()]
        return advice


def describe_endpoint(standing: EndpointStanding, record: EndpointRecord) -> pb.EndpointStatus:
    """How an endpoint stands with its adapter, and what it was caught at so far."""
    return pb.EndpointStatus(
        name=standing.name,
        trusted=standing.trusted,
        height=standing.height or 0,
        faults=record.faults,
        reason=record.reason,
        latency_us=round(standing.latency * 1e6),
        lag_blocks=standing.lag,
        failures=standing.failures,
        lies=standing.lies,
        aside_ms=round(standing.seconds_aside * 1e3),
    )


def describe_disagreement(found: Disagreement) -> pb.EndpointDisagreement:
    """Who said what of one height."""
    return pb.EndpointDisagreement(
        height=found.height,
        said=[pb.EndpointBlock(endpoint=endpoint, block_hash=block) for endpoint, block in found.said],
        agreed=found.agreed or b"",
        found_at_ms=found.at * 1000,
    )


def keep_in_background(bodies: Bodies, meter: Meter, tasks: set[asyncio.Task[None]]) -> Callable[[Evidence], None]:
    """A sink for evidence that returns at once; `tasks` holds the writes under way.

    Of each node so much is kept as proves the matter many times over: it could make more in every round.
    """
    kept: Counter[int] = Counter()

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            meter.fault("evidence.not_kept", error)

    def keep(evidence: Evidence) -> None:
        kept[evidence.signer] += 1
        if kept[evidence.signer] > KEPT_EVIDENCE:
            return
        task = asyncio.create_task(bodies.save_evidence(evidence))
        tasks.add(task)
        task.add_done_callback(ended)

    return keep

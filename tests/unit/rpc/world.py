"""A small network by hand: four nodes' keys, a policy, and certified states of it. For tests of services and client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import coincurve
from nacl.signing import SigningKey
from prometheus_client import CollectorRegistry

from chains.adapter import Settlement
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
from hypothec.v1 import operator_service_pb2
from node.attestation.release import AttestedRelease
from node.margin.policy import Policy
from node.model.certificate import CommitCertificate
from node.model.digests import Release, ReleaseItem, ReleaseKind, account_id
from node.model.frame import Frame, FramePrice, PriceStatus
from node.model.header import ChainState, ChainStatus, Header
from node.model.identity import Identity, Role, TlsMaterial
from node.model.ledger import (
    AccountRecord,
    Authorization,
    Decision,
    FreeHoldings,
    Holdings,
    Obligations,
    VenueObligation,
    Verdict,
    encode_token,
    token_key,
)
from node.model.merkle import MerkleMap
from node.model.network import Network, NodeKeys
from node.model.reports import Position, Report, ReportEntry
from node.model.signatures import address_of, pack, sign, sign_compact
from node.model.state import Control, State
from node.peers.identity import Authority, create_authority, issue
from node.rpc.answers import Answers
from node.rpc.operator import OperatorService
from node.rpc.owner import OwnerService
from node.rpc.peer import PeerService
from node.rpc.ports import CertifiedState
from node.rpc.server import Audience, RpcServer, ServerLimits, Services
from node.rpc.venue import VenueService

USD = 10**12
TIME_MS = 1_800_000_000_000
EAST, WEST = ChainId(31_337), ChainId(31_338)
ETH_TOKEN, USDC_TOKEN = Address(bytes(20)), Address(b"\x0c" * 20)
VAULT = Address(b"\xaa" * 20)


def secp_key(name: str) -> coincurve.PrivateKey:
    return coincurve.PrivateKey(keccak(b"test key " + name.encode()))


def address(key: coincurve.PrivateKey) -> Address:
    return address_of(key.public_key)


CONSENSUS_KEYS = tuple(SigningKey(keccak(f"consensus {index}".encode())) for index in range(4))
CHAIN_KEYS = tuple(secp_key(f"node {index}") for index in range(4))
OWNER_KEY, VENUE_KEY = secp_key("owner"), secp_key("venue")
OWNER = address(OWNER_KEY)

NETWORK = Network(
    network_id=Hash32(keccak(b"test network")),
    f=1,
    round_ms=1000,
    nodes=tuple(
        NodeKeys(bytes(signing.verify_key), address(chain))
        for signing, chain in zip(CONSENSUS_KEYS, CHAIN_KEYS, strict=True)
    ),
    policy_signers=(address(secp_key("policy")),),
    policy_threshold=1,
)
ACCOUNT = account_id(NETWORK.network_id, OWNER, Hash32(bytes(32)))
STRANGER = AccountId(keccak(b"nobody knows this account"))

POLICY = Policy.parse(
    f"""
schema_version = 1
version = 1
[timing]
max_price_age = 60
max_cut_age = 120
pending_cut_timeout_ms = 10000
attestation_ttl = 600
withdrawal_ttl = 600
policy_timelock = 60
[stale]
base_bps = 500
growth_bps_per_hour = 1000
cap_bps = 5000
write_off_after = 86400
[liquidation]
fee_bps = 50
bonus_bps = 500
[[assets]]
id = "ETH"
initial_haircut_bps = 2000
maintenance_haircut_bps = 1000
min_value_micro_usd = 1000000
min_sources = 2
max_spread_bps = 200
[[assets]]
id = "USDC"
initial_haircut_bps = 100
maintenance_haircut_bps = 50
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
id = "venue-a"
signer = "0x{address(VENUE_KEY).hex()}"
[[chains]]
id = {EAST}
kind = "simulated"
vault = "0x{VAULT.hex()}"
vault_code_hash = "0x{"11" * 32}"
verifier = "0x{"bb" * 20}"
from_height = 1
stride = 1
tokens = [{{ token = "0x{ETH_TOKEN.hex()}", asset = "ETH", decimals = 18 }}]
[[chains]]
id = {WEST}
kind = "simulated"
vault = "0x{VAULT.hex()}"
vault_code_hash = "0x{"11" * 32}"
verifier = "0x{"bb" * 20}"
from_height = 1
stride = 1
tokens = [{{ token = "0x{USDC_TOKEN.hex()}", asset = "USDC", decimals = 6 }}]
""".encode()
)

RECORD = AccountRecord(
    owner=OWNER,
    nonce=2,
    linked=(OWNER,),
    collateral=("ETH", "USDC"),
    authorizations=(Authorization("venue-a", 50_000 * USD, ((EAST, Address(b"\x77" * 20)),), 0, revoked=False),),
    reservations=(),
    decisions=(Decision(Hash32(keccak(b"refused request")), Verdict.REFUSED, "BELOW_INITIAL_MARGIN", 3),),
)


def price(asset: str, usd: int, *, status: PriceStatus = PriceStatus.FRESH) -> FramePrice:
    return FramePrice(
        asset, status, usd * USD, usd * USD, usd * USD, UnixSeconds(TIME_MS // 1000 - 5), 2, Assurance.ATTESTED
    )


def state_at(
    sequence: int,
    *,
    eth_usd: int = 2_000,
    others: int = 40,
    record: AccountRecord = RECORD,
    network: Network = NETWORK,
    free: tuple[FreeHoldings, ...] = (),
) -> State:
    """A state with one leveraged account (10 ETH, 5,000 USDC, long 20 ETH at 2,000) and `others` with ETH only.

    `free` is what wallets of the account hold on the chain with its ETH.
    """
    east: dict[bytes, bytes] = {ACCOUNT: Holdings(0, ((ETH_TOKEN, Amount(10 * 10**18)),), free=free).encode()}
    west: dict[bytes, bytes] = {ACCOUNT: Holdings(0, ((USDC_TOKEN, Amount(5_000 * 10**6)),)).encode()}
    for book, token in ((east, ETH_TOKEN), (west, USDC_TOKEN)):
        book[token_key(token)] = encode_token(TokenFact(Amount(10**30), Amount(10**30)))
    accounts: dict[bytes, bytes] = {ACCOUNT: record.encode()}
    for number in range(others):
        other = other_account(number)
        east[other] = Holdings(0, ((ETH_TOKEN, Amount((1 + number) * 10**18)),)).encode()
        accounts[other] = replace(record, owner=Address(other[:20]), authorizations=()).encode()
    position = Position("ETH-PERP", 20 * 10**18, 2_000 * USD)
    obligations: dict[bytes, bytes] = {
        ACCOUNT: Obligations((VenueObligation("venue-a", 1, (position,), 0, 0),)).encode()
    }
    books = {EAST: MerkleMap.of(east), WEST: MerkleMap.of(west)}
    maps = MerkleMap.of(obligations), MerkleMap.of(accounts)
    frame = Frame.of({item.asset: item for item in (price("ETH", eth_usd), price("USDC", 1))})
    control = Control(policy_version=1, chains=(), venues=(), policy_change=None, reserved=(), issued=())
    time_ms = TIME_MS + sequence * 1000
    header = Header(
        network.network_id,
        network.digest,
        sequence,
        time_ms,
        Hash32(keccak(b"previous")),
        POLICY.hash,
        frame.map.root,
        maps[0].root,
        maps[1].root,
        control.hash(),
        tuple(_chain_state(chain_id, book.root, time_ms) for chain_id, book in sorted(books.items())),
    )
    return State(header, books, maps[0], maps[1], frame, control)


def _chain_state(chain_id: ChainId, root: Hash32, time_ms: int) -> ChainState:
    cut = Cut(chain_id, Height(100), Hash32(keccak(b"block")), UnixSeconds(time_ms // 1000 - 10))
    checkpoint = Checkpoint(cut, Hash32(keccak(b"storage")))
    return ChainState(checkpoint, root, time_ms - 5_000, Assurance.ATTESTED, ChainStatus.LIVE)


def other_account(number: int) -> AccountId:
    return AccountId(keccak(f"account {number}".encode()))


def certify(header: Header, signers: tuple[int, ...] = (0, 1, 2)) -> CommitCertificate:
    unsigned = CommitCertificate(header.config_digest, 1, header.sequence, header.hash(), 0, ())
    signatures = {index: CONSENSUS_KEYS[index].sign(unsigned.statement).signature for index in signers}
    return CommitCertificate.assemble(header.config_digest, 1, header.sequence, header.hash(), signatures, len(signers))


def certified(
    sequence: int,
    *,
    eth_usd: int = 2_000,
    others: int = 40,
    record: AccountRecord = RECORD,
    free: tuple[FreeHoldings, ...] = (),
) -> CertifiedState:
    state = state_at(sequence, eth_usd=eth_usd, others=others, record=record, free=free)
    return CertifiedState(state, certify(state.header))


def attested(kind: ReleaseKind, state: State, *, signers: tuple[int, ...] = (0, 1, 2)) -> AttestedRelease:
    release = Release(
        kind,
        EAST,
        VAULT,
        ACCOUNT,
        1,
        Address(b"\x77" * 20),
        (ReleaseItem(ETH_TOKEN, Amount(10**18), Amount(10**18)),),
        Hash32(keccak(b"reference")),
        state.header.sequence,
        state.header.hash(),
        TIME_MS // 1000 + 600,
    )
    digest = release.digest(NETWORK.digest)
    packed = pack({index: sign_compact(CHAIN_KEYS[index], digest) for index in signers}, len(signers))
    return AttestedRelease(release, packed, state.header.encode(), certify(state.header).encode())


def signed_report(*, venue: str = "venue-a", sequence: int = 1, key: coincurve.PrivateKey = VENUE_KEY) -> Report:
    entry = ReportEntry(ACCOUNT, (Position("ETH-PERP", 10**18, 2_000 * USD),), 0, 0)
    unsigned = Report(venue, sequence, Hash32(bytes(32)), TIME_MS, (entry,))
    return replace(unsigned, signature=sign(key, unsigned.digest(NETWORK.network_id)))


# === Fake ports ===


class FakeNode:
    """All ports of the services, over one certified state that a test replaces."""

    def __init__(self) -> None:
        self.current: CertifiedState | None = None
        self.policies = {POLICY.hash: POLICY}
        self.reports: list[bytes] = []
        self.requests: list[bytes] = []
        self.held: set[Hash32] = set()
        self.releases: dict[ReleaseKind, tuple[AttestedRelease, ...]] = {}
        self.bodies: dict[Hash32, bytes] = {}
        self.frames: list[tuple[int, int, bytes]] = []
        self.raises: Exception | None = None
        self.settled: dict[ChainId, Settlement | None] = {}
        self.asked_evidence: list[tuple[int, str]] = []
        self._newer = asyncio.Event()

    def install(self, certified: CertifiedState) -> None:
        self.current = certified
        self._newer.set()
        self._newer = asyncio.Event()

    def _fail(self) -> None:
        if self.raises is not None:
            raise self.raises

    def latest(self) -> CertifiedState | None:
        return self.current

    async def newer_than(self, sequence: int) -> CertifiedState:
        while self.current is None or self.current.sequence <= sequence:
            await self._newer.wait()
        return self.current

    def policy(self, policy_hash: Hash32) -> Policy | None:
        self._fail()
        return self.policies.get(policy_hash)

    async def submit_report(self, raw: bytes, venue: str) -> None:
        assert venue == Report.decode(raw).venue
        self._fail()
        self.reports.append(raw)

    async def submit_request(self, raw: bytes) -> None:
        self._fail()
        self.requests.append(raw)

    def holds_request(self, digest: Hash32) -> bool:
        return digest in self.held

    def open_releases(self, account: AccountId, kind: ReleaseKind) -> tuple[AttestedRelease, ...]:
        self._fail()
        return self.releases.get(kind, ()) if account == ACCOUNT else ()

    async def body(self, kind: int, digest: Hash32) -> bytes | None:
        return self.bodies.get(digest)

    def received(self, sender: int, kind: int, body: bytes) -> None:
        self._fail()
        self.frames.append((sender, kind, body))

    def status(self) -> operator_service_pb2.GetStatusResponse:
        return operator_service_pb2.GetStatusResponse(node=2, advice=["all is well"])

    async def evidence(self, page_size: int, page_token: str) -> operator_service_pb2.ListEvidenceResponse:
        self.asked_evidence.append((page_size, page_token))
        record = operator_service_pb2.EvidenceRecord(against="node:3", reason="EQUIVOCATION")
        return operator_service_pb2.ListEvidenceResponse(evidence=[record])


NAMES = {f"node-{index}": index for index in range(4)}


def serve(
    node: FakeNode,
    *,
    index: int = 0,
    addresses: Mapping[Audience, str] | None = None,
    registry: CollectorRegistry | None = None,
    limits: ServerLimits | None = None,
    now_ms: Callable[[], int] = lambda: TIME_MS + 2_000,
) -> RpcServer:
    """The real server over a fake node, on free ports of every listener."""
    registry = registry or CollectorRegistry()
    answers = Answers(node, node, lambda: node.settled)
    services = Services(
        VenueService(NETWORK, answers, node, node, node),
        OwnerService(NETWORK, node, answers, node, node, node),
        PeerService(NAMES, node, node, node, registry),
        OperatorService(NETWORK, node, node),
    )
    every = dict.fromkeys(Audience, "127.0.0.1:0")
    tls = material(Role.NODE, f"node-{index}")
    return RpcServer(addresses or every, services, tls, node, registry, limits, now_ms)


# === TLS ===


@cache
def authority() -> Authority:
    return create_authority("test", datetime.now(UTC))


@cache
def material(role: Role, name: str) -> TlsMaterial:
    return issue(authority(), Identity(role, name), ["127.0.0.1", "localhost"], datetime.now(UTC))

"""Small values to store: consistent where a store checks, arbitrary elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Amount, Assurance, ChainId, Checkpoint, Hash32, UnixSeconds
from node.attestation.statements import Statement
from node.model.certificate import CommitCertificate
from node.model.digests import Release, ReleaseItem, ReleaseKind
from node.model.frame import Frame, FramePrice, PriceStatus
from node.model.header import ChainState, ChainStatus, Header
from node.model.merkle import MerkleMap
from node.model.state import Control, State, VenueHead
from tests.kit import NETWORK_ID, ONE, USD, cut, network, vault


def leaves(short: Mapping[bytes, bytes]) -> MerkleMap:
    """A map whose keys are written short."""
    return MerkleMap.of({key.rjust(32, b"\0"): value for key, value in short.items()})


def state(
    sequence: int,
    accounts: Mapping[bytes, bytes] | None = None,
    book: Mapping[bytes, bytes] | None = None,
    chain: ChainId = ONE,
    issued: tuple[tuple[int, Hash32], ...] = (),
    venues: tuple[VenueHead, ...] = (),
) -> State:
    """A state whose header has the roots of its parts."""
    accounts_map = leaves(accounts if accounts is not None else {b"\x01": b"record", b"\x02": b"%d" % sequence})
    books = {chain: leaves(book if book is not None else {b"\x01": b"%d" % (sequence // 2)})}
    obligations = leaves({b"\x03": b"owed"})
    price = 2000 * USD + sequence
    eth = FramePrice("ETH", PriceStatus.FRESH, price, price, price, UnixSeconds(9), 2, Assurance.PROVEN)
    frame = Frame.of({"ETH": eth})
    control = Control(1, (), venues, None, (), issued)
    header = Header(
        NETWORK_ID,
        network().digest,
        sequence,
        1000 * sequence,
        Hash32(keccak(b"previous")),
        Hash32(keccak(b"policy")),
        frame.map.root,
        obligations.root,
        accounts_map.root,
        control.hash(),
        (
            ChainState(
                Checkpoint(cut(chain, 5), Hash32(bytes(32))),
                books[chain].root,
                1,
                Assurance.ATTESTED,
                ChainStatus.LIVE,
            ),
        ),
    )
    return State(header, books, obligations, accounts_map, frame, control)


def certified(of: State) -> CommitCertificate:
    """A certificate in form."""
    header = of.header
    return CommitCertificate(header.config_digest, 1, header.sequence, header.hash(), 0b111, (bytes(64),) * 3)


def statement(sequence: int, account: AccountId | None = None) -> Statement:
    """Of a state, or of a release of an account."""
    if account is None:
        digest = Hash32(keccak(b"state %d" % sequence))
        return Statement(sequence, "state", ONE, Address(b"\x08" * 20), AccountId(bytes(32)), digest, 2, None)
    release = Release(
        ReleaseKind.SEIZURE,
        ONE,
        vault(ONE),
        account,
        3,
        Address(b"\x0a" * 20),
        (
            ReleaseItem(Address(bytes(20)), Amount(10**18), Amount(0)),
            ReleaseItem(Address(b"\x01" * 20), Amount(2**200), Amount(2**199)),
        ),
        Hash32(keccak(b"plan")),
        sequence,
        Hash32(keccak(b"header %d" % sequence)),
        1_700_000_000,
    )
    digest = release.digest(network().digest)
    return Statement(sequence, release.kind.value, ONE, release.vault, account, digest, 3, release)

"""Signatures become binding at their quorum, count once, and only from whom they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chains.errors import SignatureError
from chains.types import AccountId, Amount, Hash32
from node.attestation.attestor import Attestor, ChainSlot
from node.attestation.collector import (
    KEPT_CLOSED,
    KEPT_EARLY,
    MAX_SHARES,
    Collector,
    Share,
    decode_shares,
    encode_shares,
)
from node.attestation.statements import STATE_PURPOSE, Statement, statements
from node.consensus.outcome.transition import genesis
from node.model.codec import Malformed
from node.model.digests import ReleaseItem, ReleaseKind
from node.model.ledger import AccountRecord, Reservation
from node.model.signatures import sign_compact, verify_packed
from node.model.state import State
from tests import kit
from tests.kit import ETHER, ONE, TEN, TOKEN

NETWORK = kit.network()
DIGEST = Hash32(b"d" * 32)
STATEMENT = Statement(1, "seizure", ONE, kit.vault(ONE), AccountId(bytes(32)), DIGEST, NETWORK.quorum, None)


def share(node: int, digest: Hash32 = DIGEST) -> Share:
    return Share(digest, sign_compact(kit.key(f"node {node}"), digest))


def test_a_quorum_binds_and_its_signatures_verify() -> None:
    collector = Collector(NETWORK)
    collector.expect(STATEMENT)
    assert [collector.add(node, share(node)) for node in (3, 1, 0)] == [False, False, True]
    packed = collector.packed(DIGEST)
    assert packed is not None
    assert verify_packed(DIGEST, packed, NETWORK.signers, NETWORK.quorum) == (0, 1, 3)
    assert collector.add(2, share(2)) is False


def test_a_node_counts_once_and_only_with_its_own_key() -> None:
    collector = Collector(NETWORK)
    collector.expect(STATEMENT)
    for _ in range(5):
        collector.add(1, share(1))
    with pytest.raises(SignatureError):
        collector.add(2, share(1))
    with pytest.raises(SignatureError):
        collector.add(2, Share(DIGEST, bytes(64)))
    assert collector.packed(DIGEST) is None
    assert collector.holders(DIGEST) == (1,)


def test_signatures_that_come_before_the_statement_count_once_it_is_derived() -> None:
    collector = Collector(NETWORK)
    for node in (0, 1, 2):
        collector.add(node, share(node))
    collector.add(3, Share(DIGEST, bytes(64)))
    assert collector.packed(DIGEST) is None
    assert collector.expect(STATEMENT) is True
    assert collector.packed(DIGEST) is not None


def test_a_message_of_signatures_has_one_form_and_a_bound() -> None:
    shares = (share(0), share(1))
    raw = encode_shares(shares)
    assert decode_shares(raw) == shares
    for bad in (raw[:-1], raw + b"\0", b"\2" + raw[1:], encode_shares([share(0)] * (MAX_SHARES + 1))):
        with pytest.raises(Malformed):
            decode_shares(bad)


def reserved(sequence: int) -> State:
    """A state in which one account has a seizure open that state 3 issued."""
    state = genesis(NETWORK, kit.policy())
    account = kit.Owner().account
    items = (ReleaseItem(TOKEN, Amount(ETHER), Amount(ETHER)),)
    reservation = Reservation(
        ReleaseKind.SEIZURE, TEN, kit.vault(TEN), 1, kit.address("payee"), items, DIGEST, 3, 100, "demo", 5
    )
    record = AccountRecord(kit.address("alice"), 1, (kit.address("alice"),), (), (), (reservation,), ())
    issued = ((3, Hash32(b"h" * 32)),) if sequence > 3 else ()
    control = replace(state.control, reserved=(account,), issued=issued)
    header = replace(state.header, sequence=sequence)
    return replace(state, header=header, accounts=state.accounts.updated({account: record.encode()}), control=control)


def test_a_state_is_signed_for_each_chain_and_each_open_release_over_the_state_that_issued_it() -> None:
    now, later = (list(statements(reserved(sequence), NETWORK, kit.policy())) for sequence in (3, 4))
    assert [item.purpose for item in later] == [STATE_PURPOSE, STATE_PURPOSE, "seizure"]
    assert [item.quorum for item in later] == [2, 2, 3]
    assert later[2].release is not None
    assert now[2].release is not None
    assert later[2].release.header_hash == b"h" * 32
    assert now[2].release.header_hash == reserved(3).header.hash()
    assert len({item.digest for item in now[:2] + later}) == 5


class Journal:
    def __init__(self) -> None:
        self.slots: dict[tuple[object, ...], Hash32] = {}

    async def sign_once(self, slots: Sequence[ChainSlot]) -> None:
        for slot in slots:
            place = (slot.sequence, slot.purpose, slot.chain_id, slot.contract, slot.account)
            assert self.slots.setdefault(place, slot.digest) == slot.digest


async def test_nodes_tell_each_other_and_every_one_gets_the_quorum() -> None:
    attestors: list[Attestor] = []
    bound: list[tuple[int, str]] = []

    def deliver(me: int, raw: bytes) -> None:
        for other, attestor in enumerate(attestors):
            if other != me:
                attestor.received(me, raw)

    def make(me: int) -> Attestor:
        def note(item: Statement, _: bytes) -> None:
            bound.append((me, item.purpose))

        return Attestor(NETWORK, me, kit.key(f"node {me}"), Journal(), lambda raw: deliver(me, raw), note)

    attestors += [make(node) for node in range(4)]
    for attestor in attestors:
        await attestor.committed(reserved(4), kit.policy())
    assert sorted(bound) == sorted((node, purpose) for node in range(4) for purpose in ("seizure", "state", "state"))


async def test_nothing_is_told_when_the_journal_refuses() -> None:
    class Full(Journal):
        async def sign_once(self, slots: Sequence[ChainSlot]) -> None:
            raise OSError("disk full")

    told: list[bytes] = []
    attestor = Attestor(NETWORK, 0, kit.key("node 0"), Full(), told.append, lambda *_: None)
    with pytest.raises(OSError, match="disk full"):
        await attestor.committed(reserved(4), kit.policy())
    assert told == []
    assert attestor.collector.incomplete == ()


async def test_signatures_over_open_releases_are_told_again_for_nodes_that_were_away() -> None:
    told: list[tuple[Share, ...]] = []
    attestor = Attestor(
        NETWORK, 0, kit.key("node 0"), Journal(), lambda raw: told.append(decode_shares(raw)), lambda *_: None
    )
    for sequence in (4, 5):
        await attestor.committed(reserved(sequence), kit.policy())
    seizure = list(statements(reserved(5), NETWORK, kit.policy()))[2].digest
    assert [any(item.digest == seizure for item in message) for message in told] == [True, True]


def test_a_node_that_floods_loses_its_own_early_signatures_and_nobody_elses() -> None:
    collector = Collector(NETWORK)
    for node in (0, 1, 2):
        collector.add(node, share(node))
    for number in range(KEPT_EARLY):
        collector.add(0, Share(Hash32(number.to_bytes(32, "big")), bytes(64)))
    assert collector.expect(STATEMENT) is False
    assert collector.holders(DIGEST) == (1, 2)


def test_what_is_open_is_never_forgotten_however_much_there_is() -> None:
    collector = Collector(NETWORK)
    collector.expect(STATEMENT)
    for node in (0, 1, 3):
        collector.add(node, share(node))
    others = [Hash32(number.to_bytes(32, "big")) for number in range(5000)]
    for digest in others:
        collector.expect(replace(STATEMENT, digest=digest))
    collector.keep({DIGEST})
    assert collector.packed(DIGEST) is not None
    assert [digest for digest in others if collector.statement(digest)] == others[-KEPT_CLOSED:]

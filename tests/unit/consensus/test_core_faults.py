"""What one node does when peers contradict themselves, when it fell behind, and when it starts again."""

from dataclasses import replace

import pytest

from chains.errors import HypothecError, SignatureError
from chains.proofs.keccak import keccak
from node.consensus.protocol.effects import (
    CatchUp,
    Committed,
    DeriveOutcome,
    EvidenceFound,
    RequestObservation,
)
from node.consensus.protocol.errors import SlotConflict
from node.consensus.protocol.events import (
    Installed,
    MessageReceived,
    ObservationReady,
    OutcomeReady,
    TimerFired,
    TimerName,
)
from node.consensus.protocol.journal import JournalState
from node.consensus.protocol.messages import (
    Commit,
    Decided,
    NewEpochWish,
    Observation,
    Prepare,
    RoundStart,
    Status,
    StatusRequest,
)
from node.consensus.protocol.proposal import Proposal
from node.consensus.protocol.statements import SignedStatement
from tests.unit.consensus.rig import (
    NONCE,
    QUERY,
    Rig,
    commit_certificate,
    epoch_start,
    good_proposal,
    payload_for,
    sign,
)

OUTCOME = keccak(b"outcome")
OTHER = keccak(b"other")


def prepare_for(node: int, made: Proposal, outcome: bytes = OUTCOME, epoch: int = 1) -> Prepare:
    return sign(node, Prepare(epoch, made.seq, made.epoch, made.statement.digest, outcome, made.signature))  # type: ignore[arg-type]


def derived(rig: Rig, made: Proposal) -> None:
    rig.hear(rig.leader, made)
    rig.handle(OutcomeReady(1, made.seq, made.statement.digest, OUTCOME))


# === contradiction ===


def test_two_messages_for_one_slot_are_evidence_and_the_first_counts() -> None:
    rig = Rig().opened()
    one = rig.peers[0]
    rig.hear(one, sign(one, Commit(1, 1, OUTCOME)))
    rig.hear(one, sign(one, Commit(1, 1, OTHER)))
    assert rig.found(EvidenceFound)[0].evidence.signer == one
    assert rig.reasons() == [(one, "EQUIVOCATION")]
    rig.hear(one, sign(one, Commit(1, 1, OTHER)))
    assert rig.found(EvidenceFound) == []
    for peer in rig.peers[1:]:
        rig.hear(peer, sign(peer, Commit(1, 1, OUTCOME)))
    assert rig.core.decided is not None
    assert rig.core.decided.outcome_digest == OUTCOME


def test_a_prepare_convicts_a_leader_of_two_proposals() -> None:
    rig = Rig().round_started()
    rig.hear(rig.leader, good_proposal(rig.leader, 1, 1))
    witness = next(node for node in rig.peers if node != rig.leader)
    rig.hear(witness, prepare_for(witness, good_proposal(rig.leader, 1, 1, (0, 1, 3))))
    assert rig.found(EvidenceFound)[0].evidence.signer == rig.leader


def test_a_prepare_with_a_made_up_proposal_convicts_nobody() -> None:
    rig = Rig().round_started()
    rig.hear(rig.leader, good_proposal(rig.leader, 1, 1))
    liar = next(node for node in rig.peers if node != rig.leader)
    made = sign(liar, good_proposal(liar, 1, 1, (0, 1, 3)))
    rig.hear(liar, prepare_for(liar, made))
    assert rig.found(EvidenceFound) == []
    assert rig.reasons() == [(liar, SignatureError.reason)]


def test_a_peer_busy_in_a_later_epoch_with_what_is_decided_is_told_at_once() -> None:
    rig = Rig().opened()
    certificate = commit_certificate(1, 3, OUTCOME)
    rig.hear(rig.leader, sign(rig.leader, Decided(certificate)))
    behind = rig.peers[0]
    rig.hear(behind, sign(behind, Commit(1, 3, OUTCOME)))
    assert rig.said == []
    rig.hear(behind, sign(behind, Commit(2, 3, OUTCOME)))
    assert rig.said == [sign(rig.me, Decided(certificate))]


def test_the_same_message_again_is_nothing() -> None:
    rig = Rig().opened()
    one = rig.peers[0]
    rig.hear(one, sign(one, Commit(1, 1, OUTCOME)))
    rig.hear(one, sign(one, Commit(1, 1, OUTCOME)))
    assert rig.effects == []


# === falling behind ===


def test_a_certificate_from_anywhere_makes_a_node_catch_up_and_join_its_epoch() -> None:
    rig = Rig().start()
    certificate = commit_certificate(6, 40, OUTCOME)
    rig.hear(rig.peers[0], sign(rig.peers[0], Decided(certificate)))
    assert rig.core.epoch == 6
    assert rig.found(CatchUp) == [CatchUp(certificate, tuple(node for node in (0, 1, 2) if node != rig.me))]
    rig.handle(Installed(certificate))
    leader = rig.config.leader(6)
    if leader != rig.me:
        rig.hear(leader, sign(leader, RoundStart(6, 41, certificate, QUERY)))
        assert rig.found(RequestObservation) == [RequestObservation(6, 41, QUERY)]


def test_a_certificate_that_does_not_hold_changes_nothing() -> None:
    rig = Rig().start()
    one = rig.peers[0]
    for spoilt in (
        replace(commit_certificate(6, 40, OUTCOME), seq=41),
        commit_certificate(6, 40, OUTCOME, (0, 1)),
        replace(commit_certificate(6, 40, OUTCOME), config_digest=OTHER),
    ):
        rig.hear(one, sign(one, Decided(spoilt)))
        assert rig.reasons() == [(one, SignatureError.reason)]
    assert rig.core.decided is None


def test_nothing_is_observed_before_what_was_decided_is_installed() -> None:
    rig = Rig().opened()
    certificate = commit_certificate(1, 3, OUTCOME)
    rig.hear(rig.leader, sign(rig.leader, RoundStart(1, 4, certificate, QUERY)))
    assert rig.found(RequestObservation) == []
    assert rig.found(CatchUp)
    rig.handle(Installed(certificate))
    assert rig.found(RequestObservation) == [RequestObservation(1, 4, QUERY)]


def test_catching_up_is_asked_for_again() -> None:
    rig = Rig().opened()
    certificate = commit_certificate(1, 3, OUTCOME)
    rig.hear(rig.leader, sign(rig.leader, Decided(certificate)))
    rig.hear(rig.leader, sign(rig.leader, Commit(1, 4, OUTCOME)))
    assert rig.found(CatchUp) == []
    rig.handle(TimerFired(TimerName.RESEND), after=rig.config.timing.delta_resend)
    assert rig.found(CatchUp)


def test_a_peer_that_is_behind_is_told_but_not_every_time() -> None:
    rig = Rig().opened()
    certificate = commit_certificate(1, 3, OUTCOME)
    rig.hear(rig.leader, sign(rig.leader, Decided(certificate)))
    behind = rig.peers[0]
    rig.hear(behind, sign(behind, Commit(1, 1, OUTCOME)))
    assert rig.said == [sign(rig.me, Decided(certificate))]
    rig.hear(behind, sign(behind, Commit(1, 2, OUTCOME)))
    assert rig.said == []


# === starting again ===


def test_a_restarted_node_says_the_same_again_and_nothing_else() -> None:
    rig = Rig().round_started()
    made = good_proposal(rig.leader, 1, 1)
    rig.handle(ObservationReady(1, 1, payload_for(1)))
    derived(rig, made)
    again = Rig(rig.me, JournalState.replay(rig.journal)).start()
    assert not again.core.silent
    again.hear(rig.leader, epoch_start(rig.leader, 1))
    again.hear(rig.leader, sign(rig.leader, RoundStart(1, 1, None, QUERY)))
    assert again.found(RequestObservation) == []
    again.hear(rig.leader, made)
    again.handle(OutcomeReady(1, 1, made.statement.digest, OTHER))
    assert again.said == []
    again.handle(TimerFired(TimerName.RESEND), after=again.config.timing.delta_resend)
    said = [message for message in again.said if not isinstance(message, NewEpochWish)]
    assert said == [sign(rig.me, Observation(1, 1, keccak(QUERY), payload_for(1))), prepare_for(rig.me, made)]


def test_what_was_committed_but_not_installed_is_derived_again_from_the_journal() -> None:
    rig = Rig().round_started()
    made = good_proposal(rig.leader, 1, 1)
    derived(rig, made)
    for peer in rig.peers[:2]:
        rig.hear(peer, prepare_for(peer, made))
    for peer in rig.peers[:2]:
        rig.hear(peer, sign(peer, Commit(1, 1, OUTCOME)))
    assert rig.found(Committed)
    again = Rig(rig.me, JournalState.replay(rig.journal)).start(installed=0)
    assert again.found(DeriveOutcome)[0].observations == made.attributed
    again.handle(OutcomeReady(1, 1, made.statement.digest, OUTCOME))
    assert again.found(Committed)[0].certificate == rig.found(Committed)[0].certificate


def lost() -> Rig:
    return Rig(state=JournalState.missing()).start().enter()


def report(rig: Rig, sender: int, decided: int, *yours: SignedStatement) -> None:
    certificate = commit_certificate(1, decided, OUTCOME)
    rig.hear(sender, sign(sender, Status(rig.me, NONCE, certificate, yours)))


def test_a_lost_journal_keeps_silent_until_the_network_is_beyond_all_it_can_have_signed() -> None:
    rig = lost()
    assert [message for message in rig.said if not isinstance(message, StatusRequest)] == []
    for sender in rig.peers:
        report(rig, sender, 5)
    rig.handle(Installed(commit_certificate(1, 6, OUTCOME)))
    assert rig.core.silent
    rig.handle(Installed(commit_certificate(1, 7, OUTCOME)))
    assert not rig.core.silent


def test_too_few_reports_do_not_end_the_silence() -> None:
    rig = lost()
    for sender in rig.peers[:2]:
        report(rig, sender, 5)
    rig.handle(Installed(commit_certificate(1, 50, OUTCOME)))
    assert rig.core.silent


def test_an_own_statement_that_a_peer_shows_prolongs_the_silence_and_a_forged_one_does_not() -> None:
    rig = lost()
    own = sign(rig.me, Commit(1, 12, OUTCOME))
    other = sign(rig.peers[0], Commit(1, 99, OUTCOME))
    report(rig, rig.peers[0], 5, SignedStatement(own.statement, own.signature))
    report(rig, rig.peers[1], 5, SignedStatement(other.statement, other.signature))
    report(rig, rig.peers[2], 5)
    rig.handle(Installed(commit_certificate(1, 11, OUTCOME)))
    assert rig.core.silent
    rig.handle(Installed(commit_certificate(1, 12, OUTCOME)))
    assert not rig.core.silent


def test_a_report_under_an_old_nonce_or_for_another_does_not_count() -> None:
    rig = lost()
    certificate = commit_certificate(1, 5, OUTCOME)
    for sender in rig.peers:
        rig.hear(sender, sign(sender, Status(rig.me, b"x" * 16, certificate, ())))
        rig.hear(sender, sign(sender, Status(sender, NONCE, certificate, ())))
    rig.handle(Installed(commit_certificate(1, 50, OUTCOME)))
    assert rig.core.silent


def test_an_own_statement_that_the_journal_does_not_have_silences_the_node() -> None:
    rig = Rig().opened()
    own = sign(rig.me, Commit(1, 3, OUTCOME))
    report(rig, rig.peers[0], 2, SignedStatement(own.statement, own.signature))
    assert rig.core.silent
    assert any(record.key == "recovery" for record in rig.journal)


def test_a_node_whose_state_is_beyond_its_journal_keeps_silent() -> None:
    assert Rig().start(installed=3).core.silent


def test_a_status_request_is_answered_with_what_is_known_of_the_asker() -> None:
    rig = Rig().opened()
    asker = rig.peers[0]
    theirs = sign(asker, Commit(1, 1, OUTCOME))
    rig.hear(asker, theirs)
    rig.hear(asker, sign(asker, StatusRequest(b"n" * 16)))
    status = next(message for message in rig.said if isinstance(message, Status))
    assert (status.asker, status.nonce, status.decided) == (asker, b"n" * 16, None)
    assert SignedStatement(theirs.statement, theirs.signature) in status.yours
    rig.hear(asker, sign(asker, StatusRequest(b"n" * 16)))
    assert rig.said == []


# === our own bugs ===


def test_the_core_refuses_to_sign_twice() -> None:
    rig = Rig().round_started()
    rig.core._desk.say(Commit(1, 1, OUTCOME))
    for message in (Commit(1, 1, OTHER), Commit(1, 1, OUTCOME), Commit(0, 1, OUTCOME)):
        with pytest.raises(SlotConflict):
            rig.core._desk.say(message)


def test_a_silent_core_refuses_to_sign_at_all() -> None:
    with pytest.raises(SlotConflict):
        lost().core._desk.say(Commit(1, 1, OUTCOME))


@pytest.mark.parametrize("sender", [-1, 4, 1])
def test_a_sender_that_is_no_peer_is_the_transports_bug(sender: int) -> None:
    rig = Rig(1).start()
    with pytest.raises(HypothecError):
        rig.handle(MessageReceived(sender, b""))

"""What one node does about each message, in the right order and with every wrong variant of it."""

from dataclasses import replace

import pytest

from chains.errors import LimitError, SignatureError
from chains.proofs.keccak import keccak
from node.consensus.protocol.certified import Rank
from node.consensus.protocol.effects import (
    Broadcast,
    CatchUp,
    Committed,
    DeriveOutcome,
    Persist,
    RequestObservation,
    Send,
    SetTimer,
)
from node.consensus.protocol.events import (
    MessageReceived,
    ObservationReady,
    OutcomeReady,
    OutcomeRefused,
    TimerFired,
    TimerName,
)
from node.consensus.protocol.messages import (
    Commit,
    EpochStart,
    EpochStartRequest,
    Message,
    NewEpochWish,
    Observation,
    Prepare,
    RankProof,
    RoundStart,
    StatusRequest,
)
from node.consensus.protocol.proposal import Proposal
from tests.unit.consensus.rig import (
    QUERY,
    Rig,
    commit_certificate,
    epoch_start,
    good_proposal,
    observation,
    payload_for,
    prepared_of,
    proposal,
    sign,
)

OUTCOME = keccak(b"outcome")
OTHER = keccak(b"other")


def prepare_for(node: int, made: Proposal, outcome: bytes = OUTCOME, epoch: int = 1) -> Prepare:
    return sign(node, Prepare(epoch, made.seq, made.epoch, made.statement.digest, outcome, made.signature))  # type: ignore[arg-type]


def derived(rig: Rig, made: Proposal) -> None:
    rig.hear(rig.leader, made)
    rig.handle(OutcomeReady(1, made.seq, made.statement.digest, OUTCOME))


# === epochs ===


def test_a_fresh_node_asks_for_the_status_and_wishes_for_the_first_epoch() -> None:
    rig = Rig().start()
    assert [type(message) for message in rig.said] == [StatusRequest, NewEpochWish]
    assert all(isinstance(e, Broadcast | SetTimer) for e in rig.effects)


def test_more_than_f_wishes_pull_along_and_more_than_2f_switch() -> None:
    rig = Rig().start()
    one, two, three = rig.peers
    rig.hear(one, sign(one, NewEpochWish(7)))
    assert rig.said == []
    rig.hear(two, sign(two, NewEpochWish(5)))
    assert [message for message in rig.said if isinstance(message, NewEpochWish)] == [sign(rig.me, NewEpochWish(5))]
    assert rig.core.epoch == 5
    rig.hear(three, sign(three, NewEpochWish(7)))
    assert rig.core.epoch == 7


def test_a_wish_that_the_sender_did_not_sign_counts_for_nothing() -> None:
    rig = Rig().start()
    one, two, _ = rig.peers
    for sender in rig.peers:
        rig.hear(sender, sign(two if sender != two else one, NewEpochWish(5)))
        assert rig.reasons() == [(sender, SignatureError.reason)]
    assert rig.core.epoch == 0


def test_entering_an_epoch_is_written_down_before_the_leader_is_asked_to_start_it() -> None:
    rig = Rig().start()
    one, two, _ = rig.peers
    rig.hear(one, sign(one, NewEpochWish(1)))
    rig.hear(two, sign(two, NewEpochWish(1)))
    kinds = [type(effect) for effect in rig.effects]
    assert kinds.index(Persist) < kinds.index(Send)
    assert [message for message in rig.said if isinstance(message, EpochStartRequest)]
    assert {record.key for record in rig.journal} == {"epoch", "signed/1/0/2"}


def test_a_leader_starts_its_epoch_upon_a_quorum_of_requests_and_not_before() -> None:
    rig = Rig(lead=True).start().enter()
    one, two, _ = rig.peers
    rig.hear(one, sign(one, EpochStartRequest(1, None)))
    assert rig.said == []
    rig.hear(two, sign(two, EpochStartRequest(1, None)))
    assert [type(message) for message in rig.said] == [EpochStart, RoundStart]


def test_a_leader_builds_on_the_highest_request_that_holds() -> None:
    rig = Rig(lead=True).start().enter()
    one, two, three = rig.peers
    certificate = commit_certificate(1, 3, OUTCOME, (0, 1, 2))
    forged = replace(certificate, seq=9)
    rig.hear(one, sign(one, EpochStartRequest(1, forged)))
    rig.hear(two, sign(two, EpochStartRequest(1, certificate)))
    assert rig.reasons() == [(one, "CONSENSUS_PROPOSAL_REFUSED")]
    rig.hear(three, sign(three, EpochStartRequest(1, None)))
    started = [message for message in rig.said if isinstance(message, EpochStart)]
    assert started[0].highest == certificate
    assert rig.found(CatchUp)[0].certificate == certificate


def spoilt_starts(rig: Rig) -> list[EpochStart]:
    leader = rig.leader
    good = epoch_start(leader, 1)
    certificate = commit_certificate(1, 3, OUTCOME)
    outsider = RankProof(7, good.proofs[2].rank, good.proofs[2].signature)
    inflated = RankProof(2, Rank(3, True, 1), good.proofs[2].signature)
    return [
        replace(good, proofs=good.proofs[:2]),
        replace(good, proofs=(*good.proofs[:2], outsider)),
        replace(good, proofs=(*good.proofs[:2], inflated), highest=certificate),
        replace(good, highest=certificate),
        replace(epoch_start(leader, 1, certificate), highest=None),
        epoch_start(leader, 1, replace(certificate, seq=4)),
        epoch_start(leader, 1, prepared_of(good_proposal(leader, 1, 2), 1, OUTCOME, None)),
        epoch_start(leader, 1, prepared_of(good_proposal(leader, 2, 1), 1, OUTCOME, None)),
        epoch_start(leader, 1, prepared_of(good_proposal((leader + 1) % 4, 1, 1), 1, OUTCOME, None)),
        epoch_start(leader, 1, replace(prepared_of(good_proposal(leader, 1, 1), 1, OUTCOME, None), outcome=OTHER)),
    ]


@pytest.mark.parametrize("which", range(10))
def test_an_epoch_start_that_proves_too_little_is_refused_and_the_leader_given_up(which: int) -> None:
    rig = Rig().start().enter()
    rig.hear(rig.leader, sign(rig.leader, spoilt_starts(rig)[which]))
    assert rig.reasons() == [(rig.leader, "CONSENSUS_PROPOSAL_REFUSED")]
    assert [message for message in rig.said if isinstance(message, NewEpochWish)] == [sign(rig.me, NewEpochWish(2))]
    rig.hear(rig.leader, sign(rig.leader, RoundStart(1, 1, None, QUERY)))
    assert rig.found(RequestObservation) == []


def test_what_was_prepared_is_voted_for_again_without_a_second_derivation_and_nothing_else() -> None:
    rig = Rig().start().enter(2)
    leader = rig.config.leader(2)
    made = good_proposal(rig.leader, 1, 1)
    rig.hear(leader, epoch_start(leader, 2, prepared_of(made, 1, OUTCOME, None)))
    votes = [message for message in rig.said if isinstance(message, Prepare)]
    assert [(vote.proposal_digest, vote.outcome) for vote in votes] == [(made.statement.digest, OUTCOME)]
    assert rig.found(DeriveOutcome)[0].observations == made.attributed
    rig.hear(leader, sign(leader, RoundStart(2, 1, None, QUERY)))
    assert rig.found(RequestObservation) == []
    rig.hear(leader, good_proposal(leader, 2, 1))
    assert rig.said == []


def test_an_epoch_that_is_not_started_in_time_is_given_up() -> None:
    rig = Rig().start().enter()
    rig.handle(TimerFired(TimerName.INITIAL), after=rig.config.timing.delta_initial - 1)
    assert rig.said == []
    rig.handle(TimerFired(TimerName.INITIAL), after=1)
    assert rig.said == [sign(rig.me, NewEpochWish(2))]


def test_an_epoch_without_progress_is_given_up() -> None:
    rig = Rig().opened()
    rig.handle(TimerFired(TimerName.PROGRESS), after=rig.config.timing.delta_progress)
    assert rig.said == [sign(rig.me, NewEpochWish(2))]


# === a round, as a follower ===


def test_a_round_from_start_to_commit() -> None:
    rig = Rig().round_started()
    assert rig.found(RequestObservation) == [RequestObservation(1, 1, QUERY)]

    rig.handle(ObservationReady(1, 1, payload_for(1)))
    assert [type(effect) for effect in rig.effects] == [Persist, Send]
    assert rig.found(Send)[0].to == rig.leader
    sent = rig.said[0]
    assert isinstance(sent, Observation)
    assert sent.statement.holds(rig.config, rig.me, sent.signature)

    made = good_proposal(rig.leader, 1, 1)
    rig.hear(rig.leader, made)
    assert rig.found(DeriveOutcome) == [DeriveOutcome(1, 1, made.statement.digest, made.attributed)]
    rig.handle(OutcomeReady(1, 1, made.statement.digest, OUTCOME))
    assert [type(effect) for effect in rig.effects] == [Persist, Broadcast]
    assert rig.said == [prepare_for(rig.me, made)]

    one, two, _ = rig.peers
    rig.hear(one, prepare_for(one, made))
    assert rig.effects == []
    rig.hear(two, prepare_for(two, made))
    assert [type(effect) for effect in rig.effects] == [Persist, Broadcast]
    assert {record.key for record in rig.found(Persist)[0].records} == {"prepared", "signed/1/1/8"}
    assert rig.said == [sign(rig.me, Commit(1, 1, OUTCOME))]

    rig.hear(one, sign(one, Commit(1, 1, OUTCOME)))
    assert rig.effects == []
    rig.hear(two, sign(two, Commit(1, 1, OUTCOME)))
    committed = rig.found(Committed)[0]
    assert (committed.seq, committed.outcome, committed.observations) == (1, OUTCOME, made.attributed)
    assert isinstance(rig.effects[0], Persist)
    assert rig.core.installed == 1


def spoilt_proposals(leader: int) -> dict[str, Proposal]:
    seen = [observation(node, 1, 1) for node in range(3)]
    nonsense = observation(2, 1, 1, b"nonsense")
    return {
        "too few": proposal(leader, 1, 1, seen[:2], [0, 1]),
        "none": proposal(leader, 1, 1, [], []),
        "no such observer": proposal(leader, 1, 1, seen, [0, 1, 9]),
        "wrong observer": proposal(leader, 1, 1, seen, [0, 1, 3]),
        "invalid observation": proposal(leader, 1, 1, [*seen[:2], nonsense], [0, 1, 2]),
        "another round's observation": proposal(leader, 1, 1, [*seen[:2], observation(2, 1, 2)], [0, 1, 2]),
        "another epoch's observation": proposal(leader, 1, 1, [*seen[:2], observation(2, 2, 1)], [0, 1, 2]),
        "another query": sign(leader, replace(good_proposal(leader, 1, 1), query_digest=OTHER)),
    }


@pytest.mark.parametrize("what", spoilt_proposals(0))
def test_a_proposal_that_is_not_allowed_gets_no_vote(what: str) -> None:
    rig = Rig().round_started()
    rig.hear(rig.leader, spoilt_proposals(rig.leader)[what])
    assert rig.reasons() == [(rig.leader, "CONSENSUS_PROPOSAL_REFUSED")]
    assert rig.found(DeriveOutcome) == []


@pytest.mark.parametrize(("epoch", "seq"), [(1, 2), (2, 1)])
def test_a_proposal_for_another_round_waits(epoch: int, seq: int) -> None:
    rig = Rig().round_started()
    leader = rig.config.leader(epoch)
    if leader != rig.me:
        rig.hear(leader, good_proposal(leader, epoch, seq))
        assert rig.effects == []


def test_only_the_leader_proposes_and_only_the_leader_is_asked() -> None:
    rig = Rig().opened()
    other = next(node for node in rig.peers if node != rig.leader)
    for message in (
        good_proposal(other, 1, 1),
        sign(other, RoundStart(1, 1, None, QUERY)),
        epoch_start(other, 1),
        observation(other, 1, 1),
        sign(other, EpochStartRequest(1, None)),
    ):
        rig.hear(other, message)
        assert rig.reasons() == [(other, "CONSENSUS_WRONG_SENDER")]


@pytest.mark.parametrize("kind", ["round start", "proposal", "prepare", "commit"])
def test_a_message_that_its_sender_did_not_sign_is_refused(kind: str) -> None:
    rig = Rig().opened()
    made = good_proposal(rig.leader, 1, 1)
    messages: dict[str, Message] = {
        "round start": RoundStart(1, 1, None, QUERY),
        "proposal": made,
        "prepare": prepare_for(0, made),
        "commit": Commit(1, 1, OUTCOME),
    }
    rig.hear(rig.leader, sign((rig.leader + 2) % 4, messages[kind]))
    assert rig.reasons() == [(rig.leader, SignatureError.reason)]


def test_a_node_that_derived_something_else_does_not_commit_what_others_prepared() -> None:
    rig = Rig().round_started()
    made = good_proposal(rig.leader, 1, 1)
    derived(rig, made)
    for peer in rig.peers:
        rig.hear(peer, prepare_for(peer, made, OTHER))
    assert not [message for message in rig.said if isinstance(message, Commit)]
    assert rig.reasons()[-1] == (rig.peers[-1], "CONSENSUS_OUTCOME_MISMATCH")


def test_prepares_of_different_proposals_do_not_add_up() -> None:
    rig = Rig().round_started()
    made, other = good_proposal(rig.leader, 1, 1), good_proposal(rig.leader, 1, 1, (0, 1, 2, 3))
    derived(rig, made)
    for peer in rig.peers:
        rig.hear(peer, prepare_for(peer, other))
    assert rig.said == []


def test_commits_of_different_epochs_or_outcomes_do_not_add_up() -> None:
    rig = Rig().opened()
    one, two, three = rig.peers
    rig.hear(one, sign(one, Commit(1, 1, OUTCOME)))
    rig.hear(two, sign(two, Commit(1, 1, OTHER)))
    rig.hear(three, sign(three, Commit(2, 1, OUTCOME)))
    assert rig.core.decided is None


def test_a_refused_derivation_is_asked_for_again_later_and_gets_no_vote() -> None:
    rig = Rig().round_started()
    made = good_proposal(rig.leader, 1, 1)
    rig.hear(rig.leader, made)
    rig.handle(OutcomeRefused(1, 1, made.statement.digest, "a report is missing"))
    assert rig.effects == []
    rig.handle(TimerFired(TimerName.RESEND), after=rig.config.timing.delta_resend)
    assert rig.found(DeriveOutcome)[0].proposal_digest == made.statement.digest


def test_an_own_observation_over_its_bound_is_our_own_bug() -> None:
    rig = Rig().round_started()
    with pytest.raises(LimitError):
        rig.handle(ObservationReady(1, 1, bytes(rig.config.limits.max_observation + 1)))


@pytest.mark.parametrize(("epoch", "seq"), [(1, 2), (2, 1)])
def test_a_late_observation_goes_nowhere(epoch: int, seq: int) -> None:
    rig = Rig().round_started()
    rig.handle(ObservationReady(epoch, seq, payload_for(seq)))
    assert rig.effects == []


# === a round, as the leader ===


def leading() -> Rig:
    rig = Rig(lead=True).start().enter()
    rig.handle(MessageReceived(rig.peers[0], b""))
    for peer in rig.peers:
        rig.hear(peer, sign(peer, EpochStartRequest(1, None)))
        started = [message for message in rig.said if isinstance(message, RoundStart)]
        if started:
            break
    return rig


def leader_observation(node: int) -> Observation:
    return sign(node, Observation(1, 1, keccak(b""), payload_for(1, bytes([node]))))


def test_a_leader_proposes_at_once_when_all_have_observed() -> None:
    rig = leading()
    rig.handle(ObservationReady(1, 1, payload_for(1)))
    for peer in rig.peers:
        assert not [message for message in rig.said if isinstance(message, Proposal)]
        rig.hear(peer, leader_observation(peer))
    made = next(message for message in rig.said if isinstance(message, Proposal))
    assert [each.observer for each in made.observations] == [0, 1, 2, 3]


def test_a_leader_waits_the_grace_time_for_the_rest() -> None:
    rig = leading()
    rig.handle(ObservationReady(1, 1, payload_for(1)))
    for peer in rig.peers[:2]:
        rig.hear(peer, leader_observation(peer))
    assert [timer.name for timer in rig.found(SetTimer)] == [TimerName.GRACE]
    rig.handle(TimerFired(TimerName.GRACE), after=rig.config.timing.delta_grace)
    made = next(message for message in rig.said if isinstance(message, Proposal))
    assert len(made.observations) == 3


def test_a_leader_leaves_out_what_is_invalid_or_answers_another_query() -> None:
    rig = leading()
    one, two, three = rig.peers
    rig.handle(ObservationReady(1, 1, payload_for(1)))
    rig.hear(one, sign(one, Observation(1, 1, keccak(b""), b"nonsense")))
    rig.hear(two, observation(two, 1, 1))
    assert rig.reasons() == [(one, "CONSENSUS_OBSERVATION_REFUSED"), (two, "CONSENSUS_OBSERVATION_REFUSED")]
    rig.hear(three, leader_observation(three))
    assert rig.effects == []

"""A network whose policy judges accounts by the profile `hypothec`, from the round in which it is activated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from chains.errors import ClaimMismatch
from chains.proofs.keccak import keccak
from hypothec.v1.health_pb2 import HealthAnswer
from node.attestation.answer import VerifiedAnswer, touched_assets, verify_answer
from node.margin.policy import Policy
from node.model.certificate import CommitCertificate
from node.model.frame import PriceStatus
from node.model.health import HealthStatus, Reason
from node.model.ledger import Verdict
from node.model.reports import Position, ReportEntry
from node.model.state import State
from node.rpc.answers import StateAnswers
from node.rpc.ports import CertifiedState
from tests import kit
from tests.kit import ETHER, USD, Owner, Venue
from tests.unit.outcome.chain import Chain, Leveraged, activate, submit_activation

CALL, PUT = "ETH-31DEC27-2500-C", "ETH-31DEC27-1500-P"


def certified(state: State) -> CertifiedState:
    """With the signatures of the kit's nodes."""
    header = state.header
    unsigned = CommitCertificate(header.config_digest, 1, header.sequence, header.hash(), 0, ())
    keys = {index: SigningKey(keccak(b"node %d" % index)) for index in range(3)}
    signatures = {index: key.sign(unsigned.statement).signature for index, key in keys.items()}
    made = CommitCertificate.assemble(header.config_digest, 1, header.sequence, header.hash(), signatures, 3)
    return CertifiedState(state, made)


def answered(chain: Chain, owner: Owner) -> HealthAnswer:
    answers = StateAnswers(certified(chain.state), chain.policy)
    return HealthAnswer.FromString(answers.answer([answers.record(owner.account)]))


def verified(chain: Chain, owner: Owner) -> VerifiedAnswer:
    """What a client makes of the answer, from its bytes and the policy's."""
    return verify_answer(chain.network, Policy.parse(chain.policy.body), answered(chain, owner))


def report(chain: Chain, owner: Owner, venue: Venue, *held: Position, cash: int = 0, acknowledged: int = 0) -> None:
    ordered = tuple(sorted(held, key=lambda each: each.instrument))
    chain.world.publish(venue.report(ReportEntry(owner.account, ordered, cash * USD, acknowledged)))
    chain.round()


def test_an_index_of_volatility_is_agreed_like_a_price() -> None:
    chain = Chain(kit.hypothec_policy())
    chain.world.set_vol(5_000, spread=100)
    index = chain.round().frame.prices["ETH-VOL"]
    assert (index.status, index.low, index.high) == (PriceStatus.FRESH, USD // 2, USD * 51 // 100)
    chain.world.set_vol(5_000, spread=1_000)
    assert chain.round().frame.prices["ETH-VOL"].status is PriceStatus.DISPUTED
    chain.world.vols.pop("vol-1")
    assert chain.round().frame.prices["ETH-VOL"].status is PriceStatus.STALE
    assert set(chain.state.frame.prices) == {"ETH", "ETH-VOL"}


def test_accounts_are_judged_by_the_profile_from_its_activation_on(leveraged: Leveraged) -> None:
    """Long 100 ether with as many puts: the static rules do not know options, under the profile they hedge."""
    chain, owner, venue = leveraged
    chain.world.set_vol(6_000)
    puts = Position(PUT, 100 * ETHER, 0)
    report(chain, owner, venue, Position("ETH-PERP", 100 * ETHER, 2000 * USD), puts)
    before = chain.health(owner)
    assert (before.rules, before.status) == ("haircuts", HealthStatus.UNKNOWN)
    assert before.reasons == (Reason.UNKNOWN_INSTRUMENT,)

    activate(chain, kit.hypothec_policy(2))
    chain.settle(2, {owner.account: 10 * ETHER})
    after = chain.health(owner)
    assert (after.rules, after.status, after.reasons) == ("hypothec", HealthStatus.HEALTHY, ())
    assert after.venues[0].profit.low > 0
    answer = verified(chain, owner)
    assert answer.accounts[owner.account].health == after
    assert set(answer.context.prices) == {"ETH", "ETH-VOL"}

    report(chain, owner, venue, Position("ETH-PERP", 100 * ETHER, 2000 * USD))
    assert chain.health(owner).maintenance_excess.low < after.maintenance_excess.low, "the hedge is gone"


def test_a_short_of_calls_is_liquidated_when_volatility_rises() -> None:
    owner, venue = Owner(), Venue()
    chain = Chain(kit.hypothec_policy())
    chain.world.set_vol(6_000)
    chain.world.submit(owner.link())
    chain.round()
    chain.world.submit(owner.authorize(limit_usd=100_000))
    chain.round()
    chain.settle(1, {owner.account: 10 * ETHER})
    report(chain, owner, venue, Position(CALL, -25 * ETHER, 0), cash=14_000)
    assert chain.health(owner).status is HealthStatus.HEALTHY
    assert chain.record(owner).reservations == ()

    chain.world.set_vol(16_000)
    chain.round()
    record = chain.record(owner)
    assert record.reservations
    unreserved = replace(
        record,
        reservations=(),
        authorizations=tuple(replace(each, seized=0) for each in record.authorizations),
    )
    judged = chain.judged(replace(chain.state.view(owner.account), record=unreserved))
    assert judged.status in (HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT)
    credit = sum(item.credit for item in record.reservations)
    assert 0 < credit <= judged.venues[0].claim.high + judged.venues[0].maintenance.high
    assert verified(chain, owner).accounts[owner.account].view.record == record


def test_an_index_that_nobody_quotes_leaves_options_uncertain_and_nobody_liquidated() -> None:
    owner, venue = Owner(), Venue()
    chain = Chain(kit.hypothec_policy())
    chain.world.submit(owner.link())
    chain.round()
    chain.world.submit(owner.authorize(limit_usd=100_000))
    chain.round()
    chain.settle(1, {owner.account: 10 * ETHER})
    report(chain, owner, venue, Position(CALL, -40 * ETHER, 0), cash=-4_000)
    health = chain.health(owner)
    assert (health.status, health.reasons) == (HealthStatus.UNKNOWN, (Reason.UNCERTAIN_VOLATILITY,))
    assert chain.record(owner).reservations == ()


def test_a_withdrawal_is_judged_by_the_profile(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    chain.world.set_vol(6_000)
    report(chain, owner, venue, Position("ETH-PERP", 20 * ETHER, 2000 * USD))
    activate(chain, kit.hypothec_policy(2))
    chain.settle(2, {owner.account: 10 * ETHER})
    for amount, verdict in ((10 * ETHER, Verdict.GRANTED), (9 * ETHER, Verdict.REFUSED)):
        chain.world.submit(owner.withdraw(amount) if verdict is Verdict.GRANTED else owner.withdraw(amount, kit.TEN))
        chain.round()
        assert chain.record(owner).decisions[-1].verdict is verdict
    assert chain.record(owner).decisions[-1].reason == "BELOW_INITIAL_MARGIN"


def test_a_policy_whose_parameters_are_none_is_never_scheduled(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    profile = b'profile = "hypothec"'
    wrong = kit.hypothec_policy(2).body.replace(profile, profile + b"\nparameters = { maintenance = 2 }")
    submit_activation(chain, 2, wrong)
    chain.round()
    assert chain.state.control.policy_change is None
    assert chain.health(owner).rules == "haircuts"


def test_which_row_decided_is_in_the_answer_and_cannot_be_changed(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    chain.world.set_vol(6_000)
    report(chain, owner, venue, Position("ETH-PERP", 10 * ETHER, 2000 * USD))
    activate(chain, kit.hypothec_policy(2))
    chain.settle(2, {owner.account: 10 * ETHER})
    answer = answered(chain, owner)
    health = answer.accounts[0].health
    assert (health.rules, health.decided_by) == ("hypothec", "low")
    assert health.maintenance_rows.low == health.maintenance_rows.high == "market -18% vol up"
    assert health.initial_rows.low == "market -18% vol up"
    assert list(touched_assets(chain.state.view(owner.account), chain.policy)) == ["ETH", "ETH-VOL"]
    for field in ("rules", "decided_by"):
        changed = HealthAnswer.FromString(answer.SerializeToString())
        setattr(changed.accounts[0].health, field, "high")
        with pytest.raises(ClaimMismatch):
            verify_answer(chain.network, chain.policy, changed)
    changed = HealthAnswer.FromString(answer.SerializeToString())
    changed.accounts[0].health.initial_rows.low = "together -40%"
    with pytest.raises(ClaimMismatch):
        verify_answer(chain.network, chain.policy, changed)

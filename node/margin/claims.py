"""What an account owes: each authorised venue's claim, and the margin that its positions need.

Must not know collateral: what venues say and the owner's limits are all that decides here.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.margin import spec
from node.margin.context import MarginContext, Mark
from node.margin.policy import Instrument, Policy
from node.model.health import Interval, Reason, VenueLine
from node.model.ledger import AccountView, Authorization, VenueObligation
from node.model.reports import Position


@dataclass(frozen=True, slots=True)
class Exposure:
    """One position over all that its underlying's price may be, in 1e-12 USD.

    `pnl.low` is None where a loss has no bound but the owner's limit. `certain` is the pnl that a seizure may rest on:
    the worst at a fresh price, and what even the best case leaves at any other. `fee` is for closing it.
    """

    pnl_low: int | None
    pnl_high: int
    certain: int
    initial: Interval
    maintenance: Interval
    fee: int
    reason: Reason | None


_NO_MARGIN = Interval(0, 0)


def exposure(position: Position, instrument: Instrument | None, mark: Mark | None, fee_bps: int) -> Exposure:
    """The exposure of a perpetual position; `mark` is its underlying's.

    An obligation without a price is neither frozen nor guessed. At the high end it is nothing, as a holding would be:
    a profit that nobody can price is written off. At the low end it is the most it can be: a long loses all that it
    paid (the price is zero at worst, and no margin is needed on top), a short, and an instrument that the policy
    does not name, has no bound but the limit. That gives a venue no more than an invented `cash` would, and seizes
    nothing. At a stale price a profit is nothing at the low end.
    """
    if instrument is None:
        return Exposure(None, 0, 0, _NO_MARGIN, _NO_MARGIN, 0, Reason.UNKNOWN_INSTRUMENT)
    assert mark is not None  # noqa: S101 - the policy declares the underlying of every instrument
    size, entry = position.size, position.entry_price
    if mark.obligation is None:
        worst = min(0, spec.perpetual_pnl(size, entry, 0)) if size > 0 else None
        return Exposure(worst, 0, 0, _NO_MARGIN, _NO_MARGIN, 0, mark.reason)
    price = mark.obligation
    bad, good = (price.low, price.high) if size > 0 else (price.high, price.low)
    low, high = spec.perpetual_pnl(size, entry, bad), spec.perpetual_pnl(size, entry, good)
    fee = spec.closing_fee(size, bad, fee_bps, instrument.maintenance_bps) if mark.fresh else 0
    return Exposure(
        min(low, 0) if mark.reason is Reason.STALE_PRICE else low,
        high,
        low if mark.fresh else high,
        _margin(size, price, instrument.initial_bps),
        _margin(size, price, instrument.maintenance_bps),
        fee,
        mark.reason,
    )


def _margin(size: int, price: Interval, margin_bps: int) -> Interval:
    return Interval(
        spec.perpetual_margin(size, price.low, margin_bps), spec.perpetual_margin(size, price.high, margin_bps)
    )


@dataclass(frozen=True, slots=True)
class VenueFigures:
    """One venue's claim on an account before and after the owner's limit, in 1e-12 USD.

    `value` is pnl + cash + receivable; `initial` and `maintenance` are the positions' margins before profit and limit;
    `certain` the value that a seizure may rest on, `fees` what closing would cost; `cap` what the limit leaves.
    """

    authorization: Authorization
    cap: int
    receivable: int
    value: Interval
    initial: Interval
    maintenance: Interval
    certain: int
    fees: int
    reasons: tuple[Reason, ...]

    def required(self, margin: Interval) -> Interval:
        """Claim and margin together, least to most."""
        return Interval(
            spec.requirement(self.value.high, margin.low, self.cap),
            spec.requirement(self.value.low, margin.high, self.cap),
        )

    @property
    def required_of_withdrawals(self) -> int:
        """The most of claim and initial margin, with no profit set against it: that never supports a withdrawal."""
        return spec.requirement(min(self.value.low, 0), self.initial.high, self.cap)

    @property
    def owed(self) -> int:
        """What a liquidation credits to the venue."""
        return spec.amount_owed(self.certain, self.fees, self.cap)

    @property
    def line(self) -> VenueLine:
        value = self.value
        return VenueLine(
            self.authorization.venue,
            Interval(spec.claim(value.high, self.cap), spec.claim(value.low, self.cap)),
            Interval(spec.profit(value.low), spec.profit(value.high)),
            spec.margin_beyond_claim(value, self.initial, self.cap),
            spec.margin_beyond_claim(value, self.maintenance, self.cap),
            self.receivable,
            self.reasons,
        )


def venue_figures(view: AccountView, context: MarginContext) -> tuple[VenueFigures, ...]:
    """One for each venue that has reported the account and is authorised by its owner, by venue.

    What others report counts nothing and does not show. A revoked venue counts within its limit.
    """
    if view.record is None or view.obligations is None or not view.obligations.venues:
        return ()
    authorized = {item.venue: item for item in view.record.authorizations}
    return tuple(
        _figures(obligation, authorized[obligation.venue], context)
        for obligation in view.obligations.venues
        if obligation.venue in authorized
    )


def _figures(obligation: VenueObligation, authorization: Authorization, context: MarginContext) -> VenueFigures:
    receivable = spec.receivable(authorization.seized, obligation.acknowledged)
    most = spec.cap(authorization.limit, authorization.seized)
    low = high = certain = obligation.cash + receivable
    initial_low = initial_high = maintenance_low = maintenance_high = fees = 0
    bounded = True
    reasons: dict[Reason, None] = {}
    for position in obligation.positions:
        if position.size == 0:
            continue  # it reads no price
        part = exposure(position, *_quoted(position, context.policy, context), context.policy.liquidation.fee_bps)
        if part.pnl_low is None:
            bounded = False
        else:
            low += part.pnl_low
        high += part.pnl_high
        certain += part.certain
        fees += part.fee
        initial_low += part.initial.low
        initial_high += part.initial.high
        maintenance_low += part.maintenance.low
        maintenance_high += part.maintenance.high
        if part.reason is not None:
            reasons[part.reason] = None
    return VenueFigures(
        authorization,
        most,
        receivable,
        Interval(low if bounded else min(low, -most), high),
        Interval(initial_low, initial_high),
        Interval(maintenance_low, maintenance_high),
        certain,
        fees,
        tuple(reasons),
    )


def _quoted(position: Position, policy: Policy, context: MarginContext) -> tuple[Instrument | None, Mark | None]:
    instrument = policy.perpetual_by_id.get(position.instrument)
    return (instrument, context.marks[instrument.underlying]) if instrument is not None else (None, None)

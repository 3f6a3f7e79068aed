"""The health of one account: collateral less claims against margin, as intervals, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from node.margin.claims import VenueFigures, venue_figures
from node.margin.collateral import holding_lines
from node.margin.context import MarginContext
from node.margin.free import free_lines
from node.model.health import Health, HealthStatus, HoldingLine, Interval, Reason, VenueLine
from node.model.ledger import AccountView


def evaluate(view: AccountView, context: MarginContext) -> Health:
    """The health of an account. Total: whatever venues report and owners hold, there is an answer.

    excess = collateral after haircuts − Σ (claim + margin); the low end takes collateral at its low end and what is
    required at its high end, the high end the other way round.
    """
    holdings, figures = holding_lines(view, context), venue_figures(view, context)
    venues = tuple(item.line for item in figures)
    claims = total(line.claim for line in venues)
    initial = total(line.initial for line in holdings)
    maintenance = total(line.maintenance for line in holdings)
    initial_excess = initial - total(item.required(item.initial) for item in figures)
    maintenance_excess = maintenance - total(item.required(item.maintenance) for item in figures)
    covered = sum(line.value.high for line in holdings) >= claims.low
    status = status_of(initial_excess, maintenance_excess, covered=covered)
    reasons = _widening(holdings, figures, venues)
    if status is HealthStatus.UNKNOWN and not reasons:
        reasons = (Reason.PRICE_SPREAD,)
    return Health(
        account=view.account,
        status=status,
        initial_equity=initial - claims,
        initial_margin=total(line.initial for line in venues),
        initial_excess=initial_excess,
        maintenance_equity=maintenance - claims,
        maintenance_margin=total(line.maintenance for line in venues),
        maintenance_excess=maintenance_excess,
        holdings=holdings,
        venues=venues,
        reasons=reasons,
        free=free_lines(view, context),
    )


def status_of(initial_excess: Interval, maintenance_excess: Interval, *, covered: bool) -> HealthStatus:
    """The status. `covered`: at the high end, without haircuts, the collateral covers the claims."""
    if maintenance_excess.high < 0:
        return HealthStatus.LIQUIDATABLE if covered else HealthStatus.INSOLVENT
    if maintenance_excess.low < 0:
        return HealthStatus.UNKNOWN
    return HealthStatus.MARGIN_CALL if initial_excess.low < 0 else HealthStatus.HEALTHY


def total(intervals: Iterable[Interval]) -> Interval:
    """The sum, end by end."""
    low = high = 0
    for item in intervals:
        low += item.low
        high += item.high
    return Interval(low, high)


def _widening(
    holdings: Iterable[HoldingLine], figures: Iterable[VenueFigures], venues: Iterable[VenueLine]
) -> tuple[Reason, ...]:
    """The reasons of the lines that are intervals and not points, each once: what does not count widens nothing."""
    found: dict[Reason, None] = {}
    for holding in holdings:
        if holding.reasons and holding.value.low < holding.value.high:
            found |= dict.fromkeys(holding.reasons)
    for item in figures:
        if item.reasons and (_is_wide(item.required, item.initial) or _is_wide(item.required, item.maintenance)):
            found |= dict.fromkeys(item.reasons)
    return tuple(found)


def _is_wide(required: Callable[[Interval], Interval], margin: Interval) -> bool:
    interval = required(margin)
    return interval.low < interval.high

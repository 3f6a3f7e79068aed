"""The static rules: haircut collateral, and a margin for each perpetual by itself.

What accounts are judged by where the policy names no profile. Must not know requests or plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from node.margin import spec
from node.margin.claims import VenueFigures, venue_figures
from node.margin.collateral import Standing, standings
from node.margin.context import MarginContext
from node.margin.free import free_lines
from node.margin.policy import Policy
from node.model.health import Health, HealthStatus, HoldingLine, Interval, Reason, VenueLine
from node.model.ledger import AccountView

NAME = "haircuts"


class Haircuts:
    """The static rules, as node.margin.account.Rules has them."""

    def evaluate(self, view: AccountView, context: MarginContext) -> Health:
        """Excess = collateral after haircuts − Σ (claim + margin).

        The low end takes collateral at its low end and what is required at its high end, the high end the other way
        round.
        """
        holdings, figures = _holdings(view, context), venue_figures(view, context)
        venues = tuple(item.line for item in figures)
        claims = spec.total(line.claim for line in venues)
        initial = spec.total(line.initial for line in holdings)
        maintenance = spec.total(line.maintenance for line in holdings)
        initial_excess = initial - spec.total(item.required(item.initial) for item in figures)
        maintenance_excess = maintenance - spec.total(item.required(item.maintenance) for item in figures)
        covered = sum(line.value.high for line in holdings) >= claims.low
        status = spec.status_of(initial_excess, maintenance_excess, covered=covered)
        reasons = _widening(holdings, figures, venues)
        if status is HealthStatus.UNKNOWN and not reasons:
            reasons = (Reason.PRICE_SPREAD,)
        return Health(
            account=view.account,
            rules=NAME,
            status=status,
            initial_equity=initial - claims,
            initial_margin=spec.total(line.initial for line in venues),
            initial_excess=initial_excess,
            maintenance_equity=maintenance - claims,
            maintenance_margin=spec.total(line.maintenance for line in venues),
            maintenance_excess=maintenance_excess,
            holdings=holdings,
            venues=venues,
            reasons=reasons,
            free=free_lines(view, context),
        )

    def is_covered(self, view: AccountView, context: MarginContext) -> bool:
        """Whether collateral after initial haircuts covers claims and initial margin."""
        required = sum(item.required_of_withdrawals for item in venue_figures(view, context))
        return sum(line.initial.low for line in _holdings(view, context)) >= required

    def owed(self, view: AccountView, context: MarginContext) -> dict[str, int]:
        """By venue."""
        return {item.authorization.venue: item.owed for item in venue_figures(view, context)}

    def premium(self, line: HoldingLine, context: MarginContext) -> tuple[int, int]:
        """By the bonus and the asset's maintenance haircut."""
        haircut = context.policy.asset_by_id[line.asset].maintenance_haircut_bps
        return spec.premium(context.policy.liquidation.bonus_bps, haircut)

    def turn(self, asset: str, policy: Policy) -> int:
        """The higher the maintenance haircut, the earlier, where the order is by volatility."""
        if policy.liquidation.order == "pro_rata":
            return 0
        return -policy.asset_by_id[asset].maintenance_haircut_bps


def _holdings(view: AccountView, context: MarginContext) -> tuple[HoldingLine, ...]:
    found = standings(view, context)
    return tuple(_line(each, context) if isinstance(each, Standing) else each for each in found)


def _line(held: Standing, context: MarginContext) -> HoldingLine:
    """What has no price counts for nothing at either end; what is uncertain from nothing to its high end."""
    asset, mark = context.policy.asset_by_id[held.asset], context.token_marks[held.place]
    if mark.obligation is None and mark.reason is not None:
        return held.nothing(mark.reason)
    low, high = (
        spec.holding_value(held.there, price, held.decimals) for price in (mark.collateral.low, mark.collateral.high)
    )
    if held.is_dust(high, context.policy):
        return held.nothing(Reason.DUST)
    value = Interval(0 if held.is_uncertain else low, high)
    return HoldingLine(
        held.chain_id,
        held.token,
        held.asset,
        held.amount,
        value,
        _after_haircut(value, asset.initial_haircut_bps),
        _after_haircut(value, asset.maintenance_haircut_bps),
        tuple(reason for reason in (mark.reason, held.chain, held.fact) if reason is not None),
    )


def _after_haircut(value: Interval, haircut_bps: int) -> Interval:
    return Interval(spec.after_haircut(value.low, haircut_bps), spec.after_haircut(value.high, haircut_bps))


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

"""The static rules: haircut collateral, and a margin for each perpetual by itself.

What accounts are judged by where the policy names no profile. Must not know requests or plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from chains.types import Address, ChainId
from node.margin import spec
from node.margin.claims import VenueFigures, venue_figures
from node.margin.collateral import Standing, standings
from node.margin.context import MarginContext
from node.margin.free import free_lines
from node.margin.headroom import Headroom, Key, Level, ticks_for
from node.margin.policy import PICO_PER_MICRO, Instrument, Policy
from node.model.health import Health, HealthStatus, HoldingLine, Interval, Reason, VenueLine
from node.model.ledger import AccountView
from node.model.reports import Position

NAME = "haircuts"
_ASSET, _TOKEN, _SHARE = "asset", "token", "share"
_UNITS = 5
"""Base units of a short token, at the price of now: what a share may be rounded by at either time."""
_ROUNDINGS = 4
"""Of one holding or position: two, each less than one unit apart at either time."""


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

    def headrooms(self, views: Iterable[AccountView], context: MarginContext) -> Iterator[Headroom]:
        """Each by itself."""
        return (self._headroom(view, context) for view in views)

    def _headroom(self, view: AccountView, context: MarginContext) -> Headroom:
        """Of what the excess at the high end depends on: the high ends of tokens' marks, both ends of underlyings'.

        Where a vault lacks some of a token, its holders also depend on the share that is there, which moves with
        everybody's deposits, and comes and goes with the shortfall.

        - A holding counts ⌊⌊amount·price⌋·(1 − haircut)⌋, so a fall by a fraction u takes at most u of it, or all of it
          once it is dust, which is at most the asset's minimum; in a shortfall amount is ⌊booked amount·share⌋, so that
          a fall of both takes at most 2·u of it, and the value of some base units, five, for the rounding then and now
          at prices that may have risen threefold.
        - A venue requires margin − value within [0, cap], which moves no faster than margin − value does: for each
          position by at most u·|size|·price·(1 + maintenance), when either end of the mark moves by u.
        - Each of these is rounded once or twice, by less than one unit.
        """
        health = self.evaluate(view, context)
        excess = health.maintenance_excess.high
        slack, gross = excess, 0
        keys: set[Key] = set()
        for line in health.holdings:
            if line.value.high > 0:
                place = line.chain_id, line.token
                keys |= {(_TOKEN, *place), (_SHARE, *place)}
                gross += line.maintenance.high
                if _share(context, place) is not None:
                    gross += line.maintenance.high
                    slack -= _UNITS * (_unit_value(context, place) + 1)
                slack -= context.policy.asset_by_id[line.asset].min_value_micro_usd * PICO_PER_MICRO + _ROUNDINGS
        for position, instrument in _positions(view, context.policy):
            keys.add((_ASSET, instrument.underlying))
            mark = context.marks[instrument.underlying].obligation
            if mark is not None:
                gross += spec.perpetual_margin(position.size, mark.high, spec.BPS + instrument.maintenance_bps)
                slack -= _ROUNDINGS
        if not keys and slack >= 0:
            return Headroom(excess, {})
        return Headroom(excess, dict.fromkeys(keys, ticks_for(slack, gross)) if slack > 0 else None)

    def level(self, key: Key, context: MarginContext) -> Level:
        """The mark of an underlying or of a token, or the share of a token that is there."""
        match key:
            case (kind, str(asset)) if kind == _ASSET:
                price = context.marks[asset].obligation
                return Level(price is None, (price.low, price.high) if price is not None else ())
            case (kind, int(chain), bytes(token)) if kind == _TOKEN:
                mark = context.token_marks[ChainId(chain), Address(token)]
                is_known = mark.obligation is not None
                return Level(is_known, (mark.collateral.high,) if is_known else ())
            case (kind, int(chain), bytes(token)) if kind == _SHARE:
                share = _share(context, (ChainId(chain), Address(token)))
                return Level(share is None, (share,) if share is not None else ())
        raise AssertionError(f"no level is of {key}")


def _share(context: MarginContext, place: tuple[ChainId, Address]) -> Fraction | None:
    """What of each amount in the books is there; None where that is all of it, or not known."""
    fact = context.tokens.get(place)
    if fact is None or fact.disputed or fact.held >= fact.booked:
        return None
    return Fraction(fact.held, fact.booked)


def _unit_value(context: MarginContext, place: tuple[ChainId, Address]) -> int:
    """What a base unit of a token counts for at most, rounded up."""
    return spec.ceil_div(
        context.token_marks[place].collateral.high, 10 ** context.policy.token_by_place[place].decimals
    )


def _positions(view: AccountView, policy: Policy) -> Iterator[tuple[Position, Instrument]]:
    """The positions that count, and whose price matters."""
    if view.record is None or view.obligations is None:
        return
    authorized = {item.venue for item in view.record.authorizations}
    for obligation in view.obligations.venues:
        if obligation.venue in authorized:
            for position in obligation.positions:
                instrument = policy.perpetual_by_id.get(position.instrument)
                if instrument is not None and position.size != 0:
                    yield position, instrument


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

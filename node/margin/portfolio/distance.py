"""How far an account that the profile judges is from being liquidatable: bounds for node.margin.headroom.

Let E be the high end of its excess over maintenance margin: the least, over the rows, of what its own holdings count
in the row less each venue's claim there; and what they count as the market is, less claims and the shortfall. Levels
within a factor 1 ± u (deviations within ± u, u < 1/3) move these by no more than follows. κ is maintenance's part.

- A holding counts high·Σ over the steps of its depth of amount·c, where c, what a unit counts in a row at its high end
  by itself, is from 0 to top = 1 + κ·(the row's gain)⁺ and falls from step to step. The high end u lower takes u of it;
  a price u higher, which is less depth, shifts at most u of the amounts across the ends of steps, for at most
  u·high·amount·top; a volatility u higher adds u of its haircut. What falls to dust was at most the minimum. E has at
  least that (`changes` at the low end, with what the high end adds, are no less), whatever ages and spreads become.
- A venue's claim moves no faster than worth − cost in the row. Of a linear position in a forward F with `most` the
  greatest of 1 + rows' gains, worth is amount·(F·(1 − most) + end·most), and the row adds κ·amount·F·move.
- An option's mark is of a forward and of a deviation s = σ·√T, and moves by at most ΔF + 0.4·F·Δs (φ(0) < 0.4), which
  is less than 1.6·u·F. Its worth and change in a row are made of marks in rows, (1 − w)·now + w·then, each moving by at
  most `most` of that: of 1 + 2·most in the range, κ·(1 + most) in the change.
- Shortfall and concentration are taken at their most: every delta at its amount, none against another. What a venue's
  shortfall takes is no more than it adds to the venue's claim.

Time is in the levels: of forwards, of deviations, of prices whose bound grows with age, and of what expires.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, sqrt

from chains.types import Address, ChainId, UnixSeconds
from node.margin import spec
from node.margin.context import MarginContext
from node.margin.headroom import TICKS, Headroom, Key, Level, ticks_for
from node.margin.models.book import Future, Option
from node.margin.models.fixed import WAD, Money, Wad, down, up
from node.margin.models.hypothec.counted import NANO, better_by
from node.margin.models.hypothec.feeds import FeedStatus, in_proportion
from node.margin.models.hypothec.haircuts import by_volatility
from node.margin.models.hypothec.margin import claim, costs_of
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import Entry, Part, room
from node.margin.models.hypothec.portfolio import OWN, Held
from node.margin.models.hypothec.shortfall import multiple
from node.margin.models.interest import SECONDS_A_YEAR
from node.margin.policy import PICO_PER_MICRO
from node.margin.portfolio.book import AccountBook, Kept, Owing, Reported
from node.margin.portfolio.market import WAD_PER_PICO
from node.model.health import HoldingLine, Reason

_ASSET, _TOKEN, _CHAIN, _VOL, _FORWARD, _DEVIATIONS = "asset", "token", "chain", "vol", "forward", "deviations"
_MOST = TICKS // 4
"""A bound holds for t ≤ 1/4, so that u ≤ 5/16."""
_BY_MARK = 16
"""Tenths of F·u that a mark moves by at most: 1 + 0.4·(1 + u) < 1.6."""
_RELATIVE_BITS = 36
"""Of all that is counted, what rounding prices, ratios and marks may have lost is less than 2^-36."""
_BY_UNIT = 16
"""In 1e-12 USD for each unit held: the figures of a unit are rounded to that, a few times."""


def level(key: Key, context: MarginContext) -> Level:
    """What a headroom depends on, as it is."""
    market = context.market
    match key:
        case (kind, str(asset)) if kind == _ASSET:
            feed = market.feed(asset)
            return Level(feed.status, (feed.price, feed.low, feed.high))
        case (kind, str(asset)) if kind == _VOL:
            vol = market.volatility(asset)
            return Level(vol.is_certain, (vol.vol,))
        case (kind, int(chain)) if kind == _CHAIN:
            state = context.chains.get(ChainId(chain))
            return Level((state.assurance if state else None, context.chain_reasons.get(ChainId(chain))))
        case (kind, int(chain), bytes(token)) if kind == _TOKEN:
            place = ChainId(chain), Address(token)
            feed, fact = market.held(place, context.policy.token_by_place[place]), context.tokens.get(place)
            known = fact is not None, fact is not None and fact.disputed, _is_short(context, place)
            return Level((feed.status, known), (feed.price, feed.high))
        case (kind, str(asset), int(expiry)) if kind in (_FORWARD, _DEVIATIONS):
            seconds = market.seconds_to(UnixSeconds(expiry))
            if seconds <= 0:
                return Level("expired")
            return _forward(asset, seconds, context) if kind == _FORWARD else _deviations(asset, seconds, context)
    raise AssertionError(f"no level is of {key}")


def _forward(asset: str, seconds: int, context: MarginContext) -> Level:
    feed = context.market.feed(asset)
    if feed.status is FeedStatus.MISSING:
        return Level(feed.status)
    forward = context.market.expiry(feed, seconds).forward
    return Level(feed.status, (forward, *in_proportion(forward, feed)))


def _deviations(asset: str, seconds: int, context: MarginContext) -> Level:
    """σ·√T under every shock of a row, at the ends of the volatility's range, in 1e-18."""
    vol, parameters = context.market.volatility(asset), context.policy.parameters
    root = sqrt(seconds / SECONDS_A_YEAR)
    rules = [parameters.vols.rule(shock) for shock in sorted({Wad(0), *(row.vol for row in parameters.rows)})]
    vols = [vol.vol / WAD * ((WAD + sign * vol.spread) / WAD) for sign in (-1, 0, 1)]
    ends = tuple(ceil(rule(each, seconds) * root * WAD) for rule in rules for each in vols)
    return Level(vol.is_certain, ends, is_relative=False)


def _is_short(context: MarginContext, place: tuple[ChainId, Address]) -> bool:
    fact = context.tokens.get(place)
    return fact is not None and not fact.disputed and fact.held < fact.booked


@dataclass(slots=True)
class _Bounds:
    """What is summed over an account, in 1e-12 USD: `gross` moves with u, `lost` may be lost once.

    `at_risk` is the most of the deltas of one's own and of each venue, by underlying; `counted` what roundings are a
    part of.
    """

    gross: int = 0
    lost: int = 0
    counted: int = 0
    at_risk: defaultdict[str, defaultdict[str, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    keys: set[Key] = field(default_factory=set)

    def add(self, value: int, times: int, venue: str, root: str, amount: int) -> None:
        """A term that moves by `times` (1e-18) · u of a value, and is a sum over an amount of units."""
        self.gross += spec.ceil_div(value * times, WAD)
        self.counted += spec.ceil_div(value * max(times, WAD), WAD)
        self.at_risk[venue][root] += value
        self.lost += (abs(amount) // WAD + 1) * _BY_UNIT


def headroom(book: AccountBook, found: tuple[Part, ...], excess: int, context: MarginContext) -> Headroom:
    """Of an account with its parts, and its excess at the high end."""
    parameters, bounds = context.policy.parameters, _Bounds()
    by_venue = {part.venue: part for part in found[1:]}
    if not all(_hold(each, context, bounds) for each in book.holdings):
        return Headroom(excess, None)
    if not all(_is_whole(entry, parameters) for entry in found[0].entries):
        return Headroom(excess, None)
    for name, owing in book.venues.items():
        if not all(_owe(each, name, context, bounds) for each in owing.positions):
            return Headroom(excess, None)
        if name in by_venue:
            bounds.lost += _concentration(by_venue[name], owing, context)
    shortfalls = _shortfalls(bounds, context)
    shortfall = sum(shortfalls.values())
    bounds.gross += 3 * shortfall
    lost = bounds.lost + _BY_UNIT * 4 * len(found) + ((bounds.counted + shortfall) >> _RELATIVE_BITS) + 1
    slack = min(_least(found, shortfalls, parameters)) - lost
    if not bounds.keys and excess >= 0:
        return Headroom(excess, {})
    if slack <= 0:
        return Headroom(excess, None)
    return Headroom(excess, dict.fromkeys(bounds.keys, ticks_for(slack, bounds.gross, _MOST)))


def _least(found: tuple[Part, ...], shortfalls: Mapping[str, int], parameters: Parameters) -> list[int]:
    """No more than what is left at maintenance: of the shortfalls, and in each row."""
    ratio = parameters.maintenance
    least = [0] * (1 + len(parameters.rows))
    for entry in found[0].entries:
        unit = entry.unit
        base = unit.maintenance.high - better_by(unit.best, unit.changes)
        for row, change in enumerate((0, *unit.best)):
            least[row] += entry.amount * (base + down(change, ratio))
    least = [each // WAD for each in least]
    least[0] -= shortfalls.get(OWN, 0)
    for part in found[1:]:
        cost, limit = costs_of(part, ratio).high, part.limit or Money(0)
        for row, lost in enumerate((-shortfalls.get(part.venue, 0), *(down(each, ratio) for each in part.changes))):
            least[row] -= claim(part.maintenance.high + lost - cost, limit)
    return least


def _shortfalls(bounds: _Bounds, context: MarginContext) -> dict[str, int]:
    """The most that one's own and each venue's take at maintenance."""
    parameters, found = context.policy.parameters, dict[str, int]()
    for venue, at_risk in bounds.at_risk.items():
        bounds.keys |= {(_VOL, root) for root in at_risk}
        total = sum(spec.ceil_div(value * context.market.volatility(root).vol, WAD) for root, value in at_risk.items())
        found[venue] = ceil(multiple(parameters.shortfall) * total * (parameters.maintenance / WAD) * (1 + 2**-20))
    return found


# === Holdings ===


def _hold(each: Kept | HoldingLine, context: MarginContext, bounds: _Bounds) -> bool:
    """Sum a holding up; whether that can be done."""
    place = each.standing.place if isinstance(each, Kept) else (each.chain_id, each.token)
    if not isinstance(each, Kept) and not set(each.reasons) & {Reason.MISSING_PRICE, Reason.DUST}:
        return True  # nothing that moves makes it count
    if _is_short(context, place):
        return False
    recipe = context.policy.token_by_place[place]
    feed, parameters = context.market.held(place, recipe), context.policy.parameters
    bounds.keys |= {(_TOKEN, *place), (_CHAIN, place[0]), (_VOL, feed.asset)}
    root = parameters.assets[feed.asset].root
    most, _ = context.market.swing(feed.asset)
    minimum = context.policy.asset_by_id[feed.asset].min_value_micro_usd * PICO_PER_MICRO
    bounds.lost += spec.ceil_div(minimum * most, WAD)
    bounds.at_risk[OWN][root] += 2 * minimum
    if isinstance(each, Kept):
        value = spec.ceil_div(each.holding.amount * feed.high, WAD * WAD_PER_PICO)
        steps = parameters.haircuts.size_steps
        bounds.add(value, 2 * most + by_volatility(feed.vol, parameters.haircuts), OWN, root, each.holding.amount)
        bounds.lost += 2 * len(steps) * spec.ceil_div(feed.high * NANO, WAD * WAD_PER_PICO)  # ends are whole 1e-9 units
    return True


def _is_whole(entry: Entry, parameters: Parameters) -> bool:
    """Whether a step of a holding counts so much that no move within the bounds makes its haircuts all of it.

    Then haircuts at maintenance, κ of the others' at initial margin and more, are at most κ·11/16.
    """
    unit = entry.unit
    base = unit.maintenance.high - better_by(unit.best, unit.changes)
    return base * WAD >= unit.market.high * (WAD - parameters.maintenance * 11 // 16)


# === Positions ===


def _owe(each: Reported, venue: str, context: MarginContext, bounds: _Bounds) -> bool:
    """Sum a position up; whether that can be done."""
    contract, position, feed = each.contract, each.held.position, each.held.feed
    if each.reason is Reason.EXPIRED or contract is None:
        return True  # for good
    if each.reason is Reason.UNKNOWN_INSTRUMENT:
        return False  # it cannot be marked now
    bounds.keys.add((_ASSET, feed.asset))
    if contract.expiry is not None:
        bounds.keys.add((_FORWARD, feed.asset, contract.expiry))
    if feed.status is FeedStatus.MISSING:
        return True
    parameters = context.policy.parameters
    root, ratio = parameters.assets[feed.asset].root, parameters.maintenance
    most, largest = context.market.swing(feed.asset)
    value = notional(each.held)
    if isinstance(position, Option):
        bounds.keys |= {(_DEVIATIONS, feed.asset, contract.expiry), (_VOL, feed.asset)}
        marks = WAD + 2 * most + down(Money(WAD + most), ratio)
        times = spec.ceil_div(marks * _BY_MARK, 10) + parameters.charges.short_option
        value = max(value, spec.ceil_div(abs(position.amount) * feed.high, WAD * WAD_PER_PICO))
    else:
        times = 2 * most - WAD + down(Money(largest), ratio) + parameters.charges.linear
    bounds.add(value, times, venue, root, position.amount)
    return True


def notional(held: Held) -> int:
    """|amount| at the highest forward, in 1e-12 USD, rounded up."""
    position, feed = held.position, held.feed
    if feed.status is FeedStatus.MISSING:
        return 0
    high = feed.high
    if isinstance(position, Option):
        high = in_proportion(position.expiry.forward, feed)[1]
    elif isinstance(position, Future):
        high = in_proportion(position.forward, feed)[1]
    return spec.ceil_div(abs(position.amount) * high, WAD * WAD_PER_PICO)


def _concentration(part: Part, owing: Owing, context: MarginContext) -> int:
    """The most by which a venue's charge may grow."""
    parameters, market = context.policy.parameters, context.market
    at_risk: dict[str, int] = {}
    for each in owing.positions:
        root = parameters.assets[each.held.feed.asset].root
        at_risk[root] = at_risk.get(root, 0) + notional(each.held)
    charges, most = parameters.charges, 0
    for root, value in at_risk.items():
        beyond = spec.ceil_div(value * 21, 16) - room(market.risk(root), charges)
        most += up(Money(max(0, beyond)), charges.concentration_rate)
    return max(0, most - part.concentration.high)

"""What the network asks of an account, answered by the profile `hypothec`.

Every figure of the excesses is the profile's; the lines explain it, each rounded by itself:

    a holding      its value, and what counts of it after each haircut as the market is
    a venue        its claim as the market is, and what its positions need beyond it in the row that is worst for them
    the margins    all that the row which decides takes beyond the claims: what collateral loses, what positions need,
                   contingencies, the shortfall

Must not know requests or plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from node.margin import spec
from node.margin.context import MarginContext
from node.margin.free import free_lines
from node.margin.headroom import Headroom, Key, Level
from node.margin.models.book import Option
from node.margin.models.fixed import ONE, WAD, Money, Wad
from node.margin.models.hypothec.counted import Unit
from node.margin.models.hypothec.margin import SHORTFALL, UNMOVED, End, claim, evaluate, margin_by_row
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import Entry, Part, parts
from node.margin.models.hypothec.portfolio import OWN
from node.margin.policy import Policy
from node.margin.portfolio import distance
from node.margin.portfolio.book import AccountBook, Kept, Owing, account_book, account_books
from node.margin.portfolio.market import WAD_PER_PICO
from node.model.health import ZERO, Health, HealthStatus, HoldingLine, Interval, Reason, VenueLine
from node.model.ledger import AccountView, Obligations

NAME = "hypothec"
PRICED_TOGETHER = 2_048
"""Accounts and positions of a batch, or those of its last account beyond."""


class PortfolioRules:
    """The profile, as node.margin.account.Rules has it."""

    def evaluate(self, view: AccountView, context: MarginContext) -> Health:
        """The profile's result, with its lines."""
        book, parameters = account_book(view, context), context.policy.parameters
        found = parts(book.portfolio, parameters, context.market.units)
        result = evaluate(book.portfolio, found, parameters)
        holdings = tuple(_holding_lines(book, found[0]))
        venues = tuple(_venue_lines(book, found, parameters))
        claims = spec.total(line.claim for line in venues)
        initial_equity, maintenance_equity = found[0].initial - claims, found[0].maintenance - claims
        reasons = _widening(holdings, venues)
        if result.status is HealthStatus.UNKNOWN and not reasons:
            reasons = (Reason.PRICE_SPREAD,)
        return Health(
            account=view.account,
            rules=NAME,
            status=result.status,
            initial_equity=initial_equity,
            initial_margin=_between(initial_equity, result.initial_excess),
            initial_excess=result.initial_excess,
            maintenance_equity=maintenance_equity,
            maintenance_margin=_between(maintenance_equity, result.maintenance_excess),
            maintenance_excess=result.maintenance_excess,
            holdings=holdings,
            venues=venues,
            reasons=reasons,
            free=free_lines(view, context),
            initial_rows=_rows(result.initial, parameters),
            maintenance_rows=_rows(result.maintenance, parameters),
        )

    def is_covered(self, view: AccountView, context: MarginContext) -> bool:
        """Whether initial margin is, with no venue's profit and no gain of its positions in any row.

        An account that owes nothing has nothing to cover, whatever its collateral may lose.
        """
        book, parameters = account_book(view, context), context.policy.parameters
        found = parts(book.portfolio, parameters, context.market.units)
        return all(
            evaluate(book.portfolio, tuple(_without_gains(part, side) for part in found), parameters).initial_excess.low
            >= 0
            for side in (1, -1)
        )

    def owed(self, view: AccountView, context: MarginContext) -> dict[str, int]:
        """By venue: its claim by what is certain of each position, and fees for closing those that are priced.

        A fee is of the underlying's notional, and for an option no more than what the option is worth. Together they
        are no more than claim and maintenance margin: what closing ends.
        """
        book, parameters = account_book(view, context), context.policy.parameters
        by_venue = {part.venue: part for part in parts(book.portfolio, parameters, context.market.units)}
        owed: dict[str, int] = {}
        for name, owing in book.venues.items():
            part = by_venue.get(name)
            if part is not None:
                certain, fees = _certain(part, owing, context.policy.liquidation.fee_bps)
                line = _venue_line(owing, part, parameters)
                most = min(owing.limit, line.claim.high + line.maintenance.high)
                owed[name] = spec.amount_owed(certain, fees, most)
        return owed

    def premium(self, line: HoldingLine, context: MarginContext) -> tuple[int, int]:
        """min(1 + bonus, value / what counts of it at maintenance): as the market is, a seizure leaves no less.

        In a row in which what is seized would have gained, or the claim that it pays have vanished, it may leave less:
        until the venue has closed what was hedged, and only there.
        """
        bonus, counted = context.policy.liquidation.bonus_bps, max(1, line.maintenance.high)
        if (spec.BPS + bonus) * counted <= spec.BPS * line.value.low:
            return spec.BPS + bonus, spec.BPS
        return (line.value.low, counted) if counted < line.value.low else (1, 1)

    def turn(self, asset: str, policy: Policy) -> int:
        """By the volatility or the depth that the parameters have of the asset."""
        found = policy.parameters.assets[asset]
        match policy.liquidation.order:
            case "volatile":
                return -found.vol
            case "illiquid":
                return found.depth
            case "pro_rata":
                return 0

    def headrooms(self, views: Iterable[AccountView], context: MarginContext) -> Iterator[Headroom]:
        """By the bounds of node.margin.portfolio.distance."""
        parameters = context.policy.parameters
        for some in _batches(views):
            for book in account_books(some, context):
                found = parts(book.portfolio, parameters, context.market.units)
                excess = evaluate(book.portfolio, found, parameters).maintenance_excess.high
                yield distance.headroom(book, found, excess, context)

    def level(self, key: Key, context: MarginContext) -> Level:
        """A feed, a token, a chain, a volatility, a forward or the deviations of an expiry."""
        return distance.level(key, context)


def _batches(views: Iterable[AccountView]) -> Iterator[list[AccountView]]:
    """Accounts whose options are priced together: enough of them that a call costs little, few enough to hold."""
    batch: list[AccountView] = []
    positions = 0
    for view in views:
        batch.append(view)
        positions += 1 + sum(len(each.positions) for each in (view.obligations or Obligations(())).venues)
        if positions >= PRICED_TOGETHER:
            yield batch
            batch, positions = [], 0
    yield batch


def _rows(ends: tuple[End, End], parameters: Parameters) -> tuple[str, str]:
    names = (UNMOVED, *(row.name for row in parameters.rows))
    low, high = (SHORTFALL if end.worst is None else names[end.worst] for end in ends)
    return low, high


def _between(equity: Interval, excess: Interval) -> Interval:
    """What is between equity and excess at the two ends, least to most."""
    ends = equity.low - excess.low, equity.high - excess.high
    return Interval(min(ends), max(ends))


def _widening(holdings: Iterable[HoldingLine], venues: Iterable[VenueLine]) -> tuple[Reason, ...]:
    """The reasons of the lines that are intervals and not points, each once: what does not count widens nothing."""
    found: dict[Reason, None] = {}
    for holding in holdings:
        if holding.value.low < holding.value.high:
            found |= dict.fromkeys(holding.reasons)
    for line in venues:
        if any(each.low < each.high for each in (line.claim, line.profit, line.initial, line.maintenance)):
            found |= dict.fromkeys(line.reasons)
    return tuple(found)


# === Holdings ===


def _holding_lines(book: AccountBook, own: Part) -> Iterator[HoldingLine]:
    steps: dict[int, list[Entry]] = {}
    for entry in own.entries:
        steps.setdefault(id(entry.holding), []).append(entry)
    for each in book.holdings:
        yield _holding_line(each, steps.get(id(each.holding), [])) if isinstance(each, Kept) else each


def _holding_line(kept: Kept, steps: Sequence[Entry]) -> HoldingLine:
    held = kept.standing

    def counted(spans: Iterable[Interval]) -> Interval:
        exact = [entry.worth(span) for entry, span in zip(steps, spans, strict=True)]
        return Interval(sum(each.low for each in exact) // WAD, sum(each.high for each in exact) // WAD)

    units: list[Unit] = [entry.unit for entry in steps]
    return HoldingLine(
        held.chain_id,
        held.token,
        held.asset,
        held.amount,
        counted(unit.market for unit in units),
        counted(unit.initial for unit in units),
        counted(unit.maintenance for unit in units),
        kept.reasons,
    )


# === Venues ===


def _venue_lines(book: AccountBook, found: Iterable[Part], parameters: Parameters) -> Iterator[VenueLine]:
    by_venue: Mapping[str, Part] = {part.venue: part for part in found if part.venue != OWN}
    for name, owing in book.venues.items():
        part = by_venue.get(name)
        yield _venue_line(owing, part, parameters) if part is not None else _idle(owing)


def _idle(owing: Owing) -> VenueLine:
    """Nothing is open with it, and nothing is owed."""
    return VenueLine(owing.authorization.venue, ZERO, ZERO, ZERO, ZERO, owing.receivable, owing.reasons)


def _venue_line(owing: Owing, part: Part, parameters: Parameters) -> VenueLine:
    limit, worth = Money(owing.limit), part.worth

    def margin(ratio: Wad, span: Interval) -> Interval:
        ends = [max(by_row) for by_row in margin_by_row(part, span, ratio)]
        return Interval(min(ends), max(ends))

    return VenueLine(
        owing.authorization.venue,
        Interval(claim(worth.high, limit), claim(worth.low, limit)),
        Interval(spec.profit(worth.low), spec.profit(worth.high)),
        margin(ONE, part.initial),
        margin(parameters.maintenance, part.maintenance),
        owing.receivable,
        owing.reasons,
    )


def _without_gains(part: Part, side: int) -> Part:
    """What a venue's part requires of a withdrawal: its losses alone, and deltas to one side.

    So none of them is set against another venue's: the market moves against all of a side together.
    """
    if part.limit is None:
        return part
    initial, maintenance = (Interval(min(span.low, 0), min(span.high, 0)) for span in (part.initial, part.maintenance))
    changes = tuple(Money(min(change, 0)) for change in part.changes)
    deltas = {root: Money(side * max(0, side * delta)) for root, delta in part.deltas.items()}
    return replace(part, initial=initial, maintenance=maintenance, changes=changes, deltas=deltas, floor=None)


def _certain(part: Part, owing: Owing, fee_bps: int) -> tuple[int, int]:
    """What a venue's part is certainly worth, and the fees for closing it.

    The worst where everything is fresh, and what even the best case leaves of any other position.
    """
    certain, fees = int(part.cash), 0
    for entry, reported in zip(part.entries, owing.positions, strict=True):
        worth, held = entry.counted(entry.unit.maintenance), reported.held
        if reported.reason is not None:
            certain += worth.high
            continue
        certain += worth.low
        price = held.feed.low if entry.amount > 0 else held.feed.high
        fee = spec.ceil_div(abs(entry.amount) * price * fee_bps, WAD * WAD_PER_PICO * spec.BPS)
        is_option = isinstance(held.position, Option)
        fees += min(fee, max(abs(worth.low), abs(worth.high))) if is_option else fee
    return certain, fees

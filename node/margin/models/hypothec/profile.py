"""The profile: parameters over the defaults, and a result as lines that add up. Must not know rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.margin.models.fields import Fields
from node.margin.models.fixed import ONE, Money, Wad, as_float, down, up, usd
from node.margin.models.hypothec import breakdown, replays, reverse
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.margin import End, Result, claim, costs_of, evaluate
from node.margin.models.hypothec.parameters import Parameters, read_parameters
from node.margin.models.hypothec.parts import Part, Units, parts
from node.margin.models.hypothec.portfolio import Market, Portfolio, apart, read_portfolio
from node.margin.models.hypothec.reverse import Breaking
from node.margin.models.profile import (
    Evaluation,
    Judge,
    Lazily,
    Level,
    Line,
    Once,
    Profile,
    Shown,
    Threshold,
    equity,
    merged,
    requirement,
)
from node.model.health import Interval

INITIAL = Threshold("initial", "margin_call")
MAINTENANCE = Threshold("maintenance", "liquidatable")


def result_of(portfolio: Portfolio, parameters: Parameters, units: Units | None = None) -> Result:
    """One account, or one isolated part of it, under the rules; with the units of its market, where they are kept."""
    return evaluate(portfolio, parts(portfolio, parameters, units), parameters)


def _parameters(given: Fields, account: str) -> Parameters:
    return read_parameters(Fields(merged(DEFAULTS, given.content), account))


def _judge(market: Fields, given: Fields) -> Judge:
    def shared(account: str) -> tuple[Market, Units]:
        parameters = _parameters(given, account)
        return Market(market, parameters), Units(parameters)

    found = Once(shared)
    return lambda content, account: _evaluate(content, account, *found.of(account))


def _evaluate(content: object, account: str, market: Market, units: Units) -> Evaluation:
    parameters = market.parameters
    portfolio = read_portfolio(content, account, market, parameters)
    result = result_of(portfolio, parameters, units)
    isolated = {name: result_of(each, parameters, units) for name, each in portfolio.isolated.items()}
    names = breakdown.row_names(parameters)

    def components() -> dict[str, Shown]:
        alone: dict[str, Shown] = {
            name: {
                **breakdown.components(portfolio.isolated[name], each, parameters, market.quotes),
                "lines": _shown_lines(_levels(each, names)),
            }
            for name, each in isolated.items()
        }
        return {**breakdown.components(portfolio, result, parameters, market.quotes), "isolated": alone}

    return Evaluation(
        account,
        PROFILE.name,
        _levels(result, names),
        Lazily(components),
        verdict=result.status.name.lower(),
        notes=(*breakdown.notes(result, names), *breakdown.notes_of_isolated(isolated)),
    )


def _levels(result: Result, names: list[str]) -> tuple[Level, ...]:
    """The low end at both thresholds."""
    return tuple(
        Level(threshold, tuple(_lines(result.parts, pair[0], spans, names)))
        for threshold, pair, spans in (
            (INITIAL, result.initial, [part.initial for part in result.parts]),
            (MAINTENANCE, result.maintenance, [part.maintenance for part in result.parts]),
        )
    )


def _shown_lines(levels: Iterable[Level]) -> dict[str, Shown]:
    """By threshold what each line adds to the excess, or takes from it."""
    return {
        level.threshold.name: {
            f"{line.component} {line.instrument}".rstrip(): usd(line.amount if line.side == "equity" else -line.amount)
            for line in level.lines
        }
        for level in levels
    }


def stress(content: object, account: str, market: Fields, given: Fields) -> Mapping[str, Shown]:
    """Reverse stress and replays, as components: hundreds of evaluations of the account."""
    parameters = _parameters(given, account)
    portfolio = read_portfolio(content, account, market, parameters)
    return {
        "reverse_stress": {
            "nearest": _breaking(reverse.nearest(portfolio, parameters)),
            "by_deltas": _breaking(reverse.by_deltas(portfolio, parameters)),
        },
        "replays": {
            each.name: {
                "status": each.result.status.name.lower(),
                "maintenance_excess_usd": breakdown.ends(each.result.maintenance_excess),
                **({"of": each.what} if each.what else {}),
            }
            for each in replays.replay(portfolio, parameters)
        },
    }


def _breaking(found: Breaking | None) -> Shown:
    if found is None:
        return None
    return {
        "direction": found.direction,
        "multiple": as_float(found.multiple),
        "deviations": found.deviations,
        "moves": {asset: as_float(move) for asset, move in found.moves.items()},
    }


# === Lines ===


def _lines(found: tuple[Part, ...], end: End, spans: list[Interval], names: list[str]) -> Iterable[Line]:
    """The low end, component by component; what rounding each by itself has lost is the last line."""
    lines = [*_worth_lines(found, end, spans), *_requirement_lines(found, end, spans, names)]
    yield from lines
    counted = sum(line.amount if line.side == "equity" else -line.amount for line in lines)
    if rounding := end.required - counted:
        yield equity("rounding", "", rounding)
    if more := end.required - end.excess:
        yield requirement("no less than at maintenance", "", more)


def _worth_lines(found: tuple[Part, ...], end: End, spans: list[Interval]) -> Iterable[Line]:
    for place, (part, span) in enumerate(zip(found, spans, strict=True)):
        if part.limit is not None:
            if claimed := claim(span.low, part.limit):
                yield requirement("claim", part.venue, claimed)
            continue
        if place == 0 and part.cash:
            yield equity("cash", "USD", part.cash)
        by_name: dict[tuple[str, str], int] = {}
        for entry in part.entries:
            unit = entry.unit.initial if end.ratio == ONE else entry.unit.maintenance
            key = (entry.component, entry.unit.name)
            by_name[key] = by_name.get(key, 0) + entry.low(unit)
        for (component, name), amount in by_name.items():
            yield requirement(component, name, -amount) if component == "debt" else equity(component, name, amount)


def _requirement_lines(found: tuple[Part, ...], end: End, spans: list[Interval], names: list[str]) -> Iterable[Line]:
    row = end.worst
    decided = breakdown.decided(end, names)

    def change(part: Part, ratio: Wad) -> Money:
        return down(part.changes[row - 1], ratio) if row else Money(0)

    own = 0
    for part, span in zip(found, spans, strict=True):
        cost = Money(costs_of(part, end.ratio).high)
        moved = change(part, end.ratio)
        if part.limit is None:
            own -= moved
            if contingency := up(part.contingency.high, end.ratio):
                yield requirement("contingency", breakdown.part_name(part), contingency)
            if concentration := cost - contingency:
                yield requirement("concentration", breakdown.part_name(part), concentration)
        else:
            margin = claim(span.low + moved - cost, part.limit) - claim(span.low, part.limit)
            yield requirement(f"margin: {decided}", part.venue, margin)
    yield requirement(f"scenario: {decided}", "own", end.shortfall if row is None else own)


PROFILE = Profile(
    "hypothec",
    "Joint scenarios with an expected-shortfall check, itemised haircuts, health from low to high (the default)",
    _judge,
    stress,
    apart,
)

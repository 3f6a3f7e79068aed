"""The profile: parameters over the defaults, and a result as lines and components that add up. Must not know rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from node.margin.models.fields import Fields
from node.margin.models.fixed import ONE, PICO, Money, Wad, as_float, down, usd
from node.margin.models.hypothec import replays, reverse
from node.margin.models.hypothec.counted import haircut_pair
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.margin import SHORTFALL, UNMOVED, End, Result, claim, costs_of, evaluate
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
from node.margin.spec import entitlements
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
    names = [UNMOVED, *(row.name for row in parameters.rows)]

    def components() -> dict[str, Shown]:
        return {
            **_summary(result, names),
            "rows": _rows(result, names),
            "claims": _claims(result),
            "haircuts": _haircuts(portfolio, parameters),
            "isolated": {name: _summary(each, names) for name, each in isolated.items()},
        }

    levels = tuple(
        Level(threshold, tuple(_lines(result.parts, ends[0], spans, names)))
        for threshold, ends, spans in (
            (INITIAL, result.initial, [part.initial for part in result.parts]),
            (MAINTENANCE, result.maintenance, [part.maintenance for part in result.parts]),
        )
    )
    return Evaluation(
        account,
        PROFILE.name,
        levels,
        Lazily(components),
        verdict=result.status.name.lower(),
        notes=tuple(_notes(result, names)),
    )


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
                "maintenance_excess_usd": _ends(each.result.maintenance_excess),
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


# === Components ===


def _ends(interval: Interval) -> dict[str, Shown]:
    return {"low": usd(interval.low), "high": usd(interval.high)}


def _summary(result: Result, names: list[str]) -> dict[str, Shown]:
    def level(ends: tuple[End, End], excess: Interval) -> dict[str, Shown]:
        return {
            "excess_usd": _ends(excess),
            "decided_by_row": {"low": _decided(ends[0], names), "high": _decided(ends[1], names)},
        }

    return {
        "status": result.status.name.lower(),
        "decided_by": result.decided_by,
        "reasons": [reason.value for reason in result.reasons],
        "initial": level(result.initial, result.initial_excess),
        "maintenance": level(result.maintenance, result.maintenance_excess),
    }


def _notes(result: Result, names: list[str]) -> Iterator[str]:
    for name, ends in (("initial", result.initial), ("maintenance", result.maintenance)):
        low, high = (f"{end.excess / PICO:,.2f} ({_decided(end, names)})" for end in ends)
        yield f"{name:12} excess from {low} to {high}"
    reasons = ", ".join(result.reasons) or "every input is good"
    decided_by = "both ends" if result.decided_by == "both" else f"the {result.decided_by} end"
    yield f"{'decided by':12} {decided_by}; {reasons}"


def _decided(end: End, names: list[str]) -> str:
    return SHORTFALL if end.worst is None else names[end.worst]


def _rows(result: Result, names: list[str]) -> dict[str, Shown]:
    """What initial margin leaves in each row, and less the shortfall."""
    low, high = result.initial
    shown: dict[str, Shown] = {
        name: _ends(Interval(*pair)) for name, *pair in zip(names, low.left, high.left, strict=True)
    }
    shown[SHORTFALL] = _ends(Interval(low.left[0] - low.shortfall, high.left[0] - high.shortfall))
    return shown


def _claims(result: Result) -> dict[str, Shown]:
    """What each venue may claim now, and its pro-rata part of what there is to pay claims with, without haircuts."""
    venues = [part for part in result.parts if part.limit is not None]
    owed = {part.venue: claim(part.market.high, part.limit or Money(0)) for part in venues}
    available = max(0, sum(part.market.high for part in result.parts if part.limit is None))
    entitled = entitlements(owed, dict.fromkeys(owed, 0), available)
    return {
        part.venue: {
            "limit_usd": usd(part.limit or 0),
            "worth_usd": _ends(part.maintenance),
            "claim_usd": _ends(
                Interval(
                    *(claim(worth, part.limit or Money(0)) for worth in (part.maintenance.high, part.maintenance.low))
                )
            ),
            "entitled_usd": usd(entitled.get(part.venue, 0)),
        }
        for part in venues
    }


def _haircuts(portfolio: Portfolio, parameters: Parameters) -> list[Shown]:
    """The components of the haircut of each holding's first unit."""
    shown: list[Shown] = []
    for each in portfolio.holdings:
        quality: dict[str, Shown] = {
            "asset": each.feed.asset,
            "assurance": each.quality.assurance,
            "finality": each.quality.finality,
            "chain": each.quality.chain,
            "feed": each.feed.status.value,
        }
        for name, haircut in zip(
            ("initial", "maintenance"), haircut_pair(each.feed, each.quality, 0, parameters), strict=True
        ):
            parts_of: dict[str, Shown] = {part: as_float(ratio) for part, ratio in haircut.parts.items()}
            quality[name] = {**parts_of, "total": as_float(haircut.total)}
        shown.append(quality)
    return shown


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
    decided = _decided(end, names)

    def change(part: Part, ratio: Wad) -> Money:
        return down(part.changes[row - 1], ratio) if row else Money(0)

    own = 0
    for part, span in zip(found, spans, strict=True):
        cost = costs_of(part, end.ratio)
        moved = change(part, end.ratio)
        if part.limit is None:
            own -= moved
            if cost:
                yield requirement("contingency", part.venue or "own positions", cost)
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

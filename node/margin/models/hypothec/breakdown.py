"""What a result is made of, as components for JSON and for people: all that decides, by its name.

Must not know rules: it names and shows what they have found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import PICO, Money, as_float, usd
from node.margin.models.hypothec.counted import haircut_pair
from node.margin.models.hypothec.margin import SHORTFALL, UNMOVED, End, Result, claim
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import Entry, Part, linked
from node.margin.models.hypothec.portfolio import Portfolio
from node.margin.models.market import Quotes, read_held
from node.margin.models.profile import Shown
from node.margin.spec import entitlements
from node.model.health import Interval


def row_names(parameters: Parameters) -> list[str]:
    """The rows as an End counts them: the first is the market as it is."""
    return [UNMOVED, *(row.name for row in parameters.rows)]


def decided(end: End, names: list[str]) -> str:
    """The row that decides an end, or the shortfall."""
    return SHORTFALL if end.worst is None else names[end.worst]


def part_name(part: Part) -> str:
    """The venue, or that there is none."""
    return part.venue or "own positions"


def ends(interval: Interval) -> dict[str, Shown]:
    """Both ends in USD."""
    return {"low": usd(interval.low), "high": usd(interval.high)}


def notes(result: Result, names: list[str]) -> Iterator[str]:
    """In short, for people: both ends at both thresholds, and what has decided."""
    for name, pair in (("initial", result.initial), ("maintenance", result.maintenance)):
        low, high = (f"{end.excess / PICO:,.2f} ({decided(end, names)})" for end in pair)
        yield f"{name:12} excess from {low} to {high}"
    reasons = ", ".join(result.reasons) or "every input is good"
    decided_by = "both ends" if result.decided_by == "both" else f"the {result.decided_by} end"
    yield f"{'decided by':12} {decided_by}; {reasons}"


def notes_of_isolated(isolated: Mapping[str, Result]) -> Iterator[str]:
    """In short how each isolated account stands: the main one's status says nothing of it."""
    for name, each in isolated.items():
        low, high = (f"{end.excess / PICO:,.2f}" for end in each.maintenance)
        yield f"{'isolated':12} {name}: {each.status.name.lower()}, maintenance excess from {low} to {high}"


def components(portfolio: Portfolio, result: Result, parameters: Parameters, quotes: Quotes) -> dict[str, Shown]:
    """Everything of one account, or of one isolated part of it; `quotes` are of the file that it is from."""
    names = row_names(parameters)
    return {
        "status": result.status.name.lower(),
        "decided_by": result.decided_by,
        "reasons": [reason.value for reason in result.reasons],
        "initial": _level(result.initial, result.initial_excess, names),
        "maintenance": _level(result.maintenance, result.maintenance_excess, names),
        "rows": _rows(result, names),
        "charges": {part_name(part): _charges(part) for part in result.parts if part.deltas or part.contingency.high},
        "claims": _claims(result),
        "haircuts": [
            _haircut(entry, portfolio, parameters, quotes)
            for part in result.parts
            for entry in part.entries
            if entry.holding is not None
        ],
    }


def _level(pair: tuple[End, End], excess: Interval, names: list[str]) -> dict[str, Shown]:
    low, high = pair
    return {
        "excess_usd": ends(excess),
        "decided_by_row": {"low": decided(low, names), "high": decided(high, names)},
        "shortfall_usd": {"low": usd(low.shortfall), "high": usd(high.shortfall)},
    }


def _rows(result: Result, names: list[str]) -> dict[str, Shown]:
    """What initial margin leaves in each row, and less the shortfall."""
    low, high = result.initial
    shown: dict[str, Shown] = {
        name: ends(Interval(*pair)) for name, *pair in zip(names, low.left, high.left, strict=True)
    }
    shown[SHORTFALL] = ends(Interval(low.left[0] - low.shortfall, high.left[0] - high.shortfall))
    return shown


def _charges(part: Part) -> dict[str, Shown]:
    """At initial margin, least to most; of collateral and debts only the deltas, which the shortfall is of."""
    charged: dict[str, Shown] = {
        "contingency_usd": ends(part.contingency),
        "concentration_usd": ends(part.concentration),
    }
    return {**charged, "deltas_usd": {root: usd(delta) for root, delta in part.deltas.items()}}


def _claims(result: Result) -> dict[str, Shown]:
    """What each venue may claim now, and its pro-rata part of what there is to pay claims with, without haircuts."""
    venues = [part for part in result.parts if part.limit is not None]
    owed = {part.venue: claim(part.market.high, part.limit or Money(0)) for part in venues}
    available = max(0, sum(part.market.high for part in result.parts if part.limit is None))
    entitled = entitlements(owed, dict.fromkeys(owed, 0), available)
    return {
        part.venue: {
            "limit_usd": usd(part.limit or 0),
            "worth_usd": ends(part.maintenance),
            "claim_usd": ends(
                Interval(
                    *(claim(worth, part.limit or Money(0)) for worth in (part.maintenance.high, part.maintenance.low))
                )
            ),
            "entitled_usd": usd(entitled.get(part.venue, 0)),
        }
        for part in venues
    }


def _haircut(entry: Entry, portfolio: Portfolio, parameters: Parameters, quotes: Quotes) -> Shown:
    """What counts of collateral in one step of its depth: amount · price · (1 − total) · what its issuers leave."""
    held = entry.holding
    assert held is not None  # noqa: S101 - the caller has chosen collateral
    shown: dict[str, Shown] = {
        "asset": held.feed.asset,
        "amount": as_float(entry.amount),
        "assurance": held.quality.assurance,
        "finality": held.quality.finality,
        "chain": held.quality.chain,
        "feed": held.feed.status.value,
        "price_usd": ends(entry.unit.market),
        **_values(held.feed.asset, quotes),
        "issuer_factor": as_float(linked(portfolio, held.feed.asset, parameters)),
        "depth_step": entry.step,
    }
    pair = haircut_pair(held.feed, held.quality, entry.step, parameters)
    for name, haircut in zip(("initial", "maintenance"), pair, strict=True):
        parts: dict[str, Shown] = {part: as_float(ratio) for part, ratio in haircut.parts.items()}
        shown[name] = {**parts, "total": as_float(haircut.total)}
    return shown


def _values(asset: str, quotes: Quotes) -> dict[str, Shown]:
    """Both values of an asset that has two, and which of them counts; nothing of any other."""
    with suppress(PortfolioError):  # of a missing one there is nothing to show
        quote = quotes.get(read_held, asset)
        if quote.market is not None and quote.redemption is not None:
            return {
                "market_usd": as_float(quote.market),
                "redemption_usd": as_float(quote.redemption),
                "counts_at": quote.basis.value,
            }
    return {}

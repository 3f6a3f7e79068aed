"""What of an insolvent account is left to others: the loss, and the positions that counterparties are deleveraged for.

What the fund cannot pay, counterparties pay by closing positions against the account's. Those are not closed at the
market first: it would cost more, and leave nothing to close against. Whatever is still open after both, whoever bears
the loss takes over at market prices. Must not know how legs are found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from node.margin.models.fixed import WAD, Money, Wad
from node.margin.planning.account import Account, Instrument
from node.margin.planning.amounts import Scope, Selection
from node.margin.planning.legs import Candidate, Close, Leg, after
from node.margin.planning.losses import Remainder, Settlement, exposures, settle
from node.margin.planning.search import Found, worse_part
from node.margin.planning.target import Goal
from node.margin.planning.terms import Terms


def settlement(left: Account, terms: Terms) -> Settlement:
    """Who bears the loss of an account of which all that a plan closes is closed; ranked on what is left."""
    loss = Money(max(0, -left.net_value))
    found = settle(loss, terms.fund, exposures(left.holdings.values()), terms.counterparties)
    return replace(found, remainder=tuple(_remainder(left, found)))


def _remainder(left: Account, found: Settlement) -> Iterator[Remainder]:
    closed: defaultdict[Instrument, int] = defaultdict(int)
    for each in found.deleveraged:
        closed[each.instrument] += each.amount
    for name, held in sorted(left.holdings.items()):
        taken = min(held.size, closed[held.instrument]) if held.kind.is_position else 0
        if taken:
            closed[held.instrument] -= taken
        if rest := held.size - taken:
            yield Remainder(name, rest if held.amount > 0 else -rest)


def left_to_others(goal: Goal, found: Found) -> tuple[Leg, ...]:
    """The legs without what will be deleveraged; all of them where the rest would not be safe, or the fund pays."""
    account, terms = goal.account, goal.terms
    loss = Money(max(0, -after(account, found.legs).net_value))
    exposure, wanted = exposures(account.holdings.values()), defaultdict[Instrument, int](int)
    for each in settle(loss, terms.fund, exposure, terms.counterparties).deleveraged:
        wanted[each.instrument] += each.amount if exposure[each.instrument].amount > 0 else -each.amount
    scope, kept = Scope.of(goal, bounded=False), _reserved(account, wanted)
    selection: Selection = []
    for candidate, amount in found.selection:
        less = _reduced(scope, candidate, amount, kept)
        if less > 0:
            selection.append((candidate, less))
    legs = scope.legs(selection) if selection else ()
    if legs is None or worse_part(goal, legs) is not None:
        return found.legs
    return legs


def _reserved(account: Account, wanted: Mapping[Instrument, int]) -> dict[str, int]:
    """What of each holding stays open, of signed amounts: an instrument at several venues is taken by name."""
    left, kept = dict(wanted), {}
    for name, held in sorted(account.holdings.items()):
        want = left.get(held.instrument, 0) if held.kind.is_position else 0
        if want * held.amount > 0:
            taken = min(held.size, abs(want))
            kept[name] = taken
            left[held.instrument] = want - (taken if want > 0 else -taken)
    return kept


def _reduced(scope: Scope, candidate: Candidate, amount: Wad, kept: Mapping[str, int]) -> Wad:
    """The most of a closing, in whole lots, that leaves open what stays."""
    if not isinstance(candidate, Close) or not any(held.name in kept for held in candidate.holdings):
        return amount
    if not candidate.is_slice:
        (held,) = candidate.holdings
        lot = scope.goal.terms.of(held.asset).lot
        return Wad(min(amount, (held.size - kept[held.name]) // lot * lot))
    most = min((held.size - kept.get(held.name, 0)) * WAD // held.size for held in candidate.holdings)
    step = scope.step(candidate)
    return Wad(min(amount, most // step * step))

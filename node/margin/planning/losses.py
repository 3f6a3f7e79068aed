"""Who bears what an account owes beyond all that it had: fund, counterparties by rank, then everybody.

The insurance fund pays first, up to its balance. Then counterparties are deleveraged: of a position opposite to one
that the plan has left open so much is closed at a price at which its profit pays, those with the largest
profit·leverage first (as Binance, dYdX and Hyperliquid rank them, with notional/equity for leverage). What is left then
is socialised pro rata to equity; what even that does not cover is said. Nothing is created or lost: the parts add up to
the loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from node.margin.models.fixed import Money, Wad, value
from node.margin.planning.account import Holding, Instrument
from node.margin.planning.terms import Counterparty


@dataclass(frozen=True, slots=True)
class Exposure:
    """What an account has open of an instrument: the signed amount, the mark, the price sizes are judged by."""

    amount: int
    mark: Wad
    spot: Wad


def exposures(holdings: Iterable[Holding]) -> dict[Instrument, Exposure]:
    """All positions, those of one instrument at several venues as one, at the mark of the first."""
    found: dict[Instrument, Exposure] = {}
    for held in holdings:
        if held.kind.is_position:
            before = found.get(held.instrument, Exposure(0, held.price, held.spot))
            found[held.instrument] = Exposure(before.amount + held.amount, before.mark, before.spot)
    return found


@dataclass(frozen=True, slots=True)
class Deleveraging:
    """A counterparty's position is closed for `amount` > 0, and of its profit `paid` goes to the loss.

    `score` is what it was ranked by: profit·notional/equity, rounded down.
    """

    account: str
    instrument: Instrument
    amount: Wad
    paid: Money
    score: int


@dataclass(frozen=True, slots=True)
class Share:
    """What of a counterparty's equity goes to the socialised loss."""

    account: str
    paid: Money


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left of a holding, or a position's signed amount: whoever bears the loss takes it at market prices."""

    holding: str
    amount: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """A loss, and who bears which part; `uncovered` is what nobody does. `remainder` is in the loss already."""

    loss: Money
    insured: Money
    deleveraged: tuple[Deleveraging, ...]
    socialised: tuple[Share, ...]
    uncovered: Money
    remainder: tuple[Remainder, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranked:
    """A counterparty's position in profit, opposite to one of the account's."""

    account: str
    instrument: Instrument
    size: Wad
    profit: Money
    notional: Money
    equity: Money

    @property
    def score(self) -> int:
        """profit·leverage; a profit makes the equity positive, so the quotient is there."""
        return self.profit * self.notional // self.equity


def settle(
    loss: Money, fund: Money, exposure: Mapping[Instrument, Exposure], counterparties: Sequence[Counterparty]
) -> Settlement:
    """Who bears `loss` ≥ 0. `exposure` is what the account has open."""
    insured = Money(min(loss, fund))
    deleveraged = tuple(_deleveraged(Money(loss - insured), exposure, counterparties))
    left = loss - insured - sum(each.paid for each in deleveraged)
    socialised = tuple(_socialised(Money(left), counterparties))
    return Settlement(loss, insured, deleveraged, socialised, Money(left - sum(each.paid for each in socialised)))


def ranked(exposure: Mapping[Instrument, Exposure], counterparties: Sequence[Counterparty]) -> list[Ranked]:
    """The positions that can be deleveraged, the first to be so first; equal ones by account and instrument."""
    found = []
    for each in counterparties:
        for held in each.positions:
            open_one = exposure.get(held.instrument)
            if open_one is None or open_one.amount * held.amount >= 0:
                continue
            profit = value(held.amount, Wad(open_one.mark - held.entry))
            if profit > 0:
                size = Wad(abs(held.amount))
                equity = Money(each.equity + profit)
                found.append(Ranked(each.account, held.instrument, size, profit, value(size, open_one.spot), equity))
    return sorted(found, key=lambda one: (-one.score, one.account, str(one.instrument)))


def _deleveraged(
    loss: Money, exposure: Mapping[Instrument, Exposure], counterparties: Sequence[Counterparty]
) -> Iterator[Deleveraging]:
    open_size = {instrument: abs(each.amount) for instrument, each in exposure.items()}
    for each in ranked(exposure, counterparties):
        closable = min(each.size, open_size[each.instrument])
        paid = min(loss, each.profit * closable // each.size)
        if paid > 0:
            amount = -(-paid * each.size // each.profit)
            open_size[each.instrument] -= amount
            loss = Money(loss - paid)
            yield Deleveraging(each.account, each.instrument, Wad(amount), Money(paid), each.score)


def _socialised(loss: Money, counterparties: Sequence[Counterparty]) -> Iterator[Share]:
    """Pro rata to equity, by differences of the running share: every part is rounded, and yet they add up."""
    whole = sum(each.equity for each in counterparties)
    borne, before = min(loss, whole), 0
    for each in sorted(counterparties, key=lambda one: one.account):
        part = borne * (before + each.equity) // whole - borne * before // whole if whole else 0
        before += each.equity
        if part > 0:
            yield Share(each.account, Money(part))

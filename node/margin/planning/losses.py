"""Who bears what an account owes beyond all that it had: fund, counterparties by rank, then everybody.

The insurance fund pays first, up to its balance. Then counterparties are deleveraged: of a position opposite to one of
the account's so much is closed at a price at which its profit pays, those with the largest profit·leverage first (as
Binance, dYdX and Hyperliquid rank them, with notional/equity for leverage). What is left then is socialised pro rata to
equity; what even that does not cover is said. Nothing is created or lost: the parts add up to the loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from node.margin.models.fixed import Money, Wad, value
from node.margin.planning.terms import Counterparty


@dataclass(frozen=True, slots=True)
class Deleveraging:
    """A counterparty's position is closed for `amount` > 0, and of its profit `paid` goes to the loss."""

    account: str
    asset: str
    amount: Wad
    paid: Money


@dataclass(frozen=True, slots=True)
class Share:
    """What of a counterparty's equity goes to the socialised loss."""

    account: str
    paid: Money


@dataclass(frozen=True, slots=True)
class Settlement:
    """A loss, and who bears which part; `uncovered` is what nobody does."""

    loss: Money
    insured: Money
    deleveraged: tuple[Deleveraging, ...]
    socialised: tuple[Share, ...]
    uncovered: Money


@dataclass(frozen=True, slots=True)
class Ranked:
    """A counterparty's position in profit, opposite to one of the account's."""

    account: str
    asset: str
    size: Wad
    profit: Money
    notional: Money
    equity: Money


def settle(
    loss: Money,
    fund: Money,
    exposure: Mapping[str, int],
    prices: Mapping[str, Wad],
    counterparties: Sequence[Counterparty],
) -> Settlement:
    """Who bears `loss` ≥ 0. `exposure` is the account's signed position in each asset, `prices` are the marks."""
    insured = Money(min(loss, fund))
    deleveraged = tuple(_deleveraged(Money(loss - insured), exposure, prices, counterparties))
    left = loss - insured - sum(each.paid for each in deleveraged)
    socialised = tuple(_socialised(Money(left), counterparties))
    return Settlement(loss, insured, deleveraged, socialised, Money(left - sum(each.paid for each in socialised)))


def ranked(
    exposure: Mapping[str, int], prices: Mapping[str, Wad], counterparties: Sequence[Counterparty]
) -> list[Ranked]:
    """The positions that can be deleveraged, the first to be so first.

    By profit·notional/equity, compared crosswise in integers; no equity ranks above any. Equal ones by account, asset.
    """
    found = []
    for each in counterparties:
        for held in each.positions:
            signed = exposure.get(held.asset, 0)
            if signed * held.amount >= 0:
                continue
            profit = value(held.amount, Wad(prices[held.asset] - held.entry))
            if profit > 0:
                notional = value(abs(held.amount), prices[held.asset])
                size = Wad(abs(held.amount))
                found.append(Ranked(each.account, held.asset, size, profit, notional, Money(each.equity + profit)))
    # A profit makes the equity positive, so the quotient is there.
    return sorted(found, key=lambda one: (-(one.profit * one.notional // one.equity), one.account, one.asset))


def _deleveraged(
    loss: Money, exposure: Mapping[str, int], prices: Mapping[str, Wad], counterparties: Sequence[Counterparty]
) -> Iterator[Deleveraging]:
    open_size = {asset: abs(signed) for asset, signed in exposure.items()}
    for each in ranked(exposure, prices, counterparties):
        closable = min(each.size, open_size[each.asset])
        paid = min(loss, each.profit * closable // each.size)
        if paid > 0:
            amount = -(-paid * each.size // each.profit)
            open_size[each.asset] -= amount
            loss = Money(loss - paid)
            yield Deleveraging(each.account, each.asset, Wad(amount), Money(paid))


def _socialised(loss: Money, counterparties: Sequence[Counterparty]) -> Iterator[Share]:
    """Pro rata to equity, by differences of the running share: every part is rounded, and yet they add up."""
    whole = sum(each.equity for each in counterparties)
    borne, before = min(loss, whole), 0
    for each in sorted(counterparties, key=lambda one: one.account):
        part = borne * (before + each.equity) // whole - borne * before // whole if whole else 0
        before += each.equity
        if part > 0:
            yield Share(each.account, Money(part))

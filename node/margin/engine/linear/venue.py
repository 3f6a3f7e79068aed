"""Accounts under a venue's own rules, at every threshold, very many at once, equal to the rules bit for bit.

    Venue.frame(instruments, quotes, parameters)  → Frame      what a unit of each instrument comes to, once a frame
    evaluate(accounts, frame)                     → Levels

A venue is a profile and, for each of its rules, the same on arrays: it adds to the equity and requirement of a block of
accounts. Every product is exact and rounded as in the rules. Whose numbers could leave 2^62 on the way, at 4.6 million
USD, and who holds what the columns do not, is evaluated by the profile's rules themselves, account by account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from chains.errors import InputError
from node.margin.engine.linear.accounts import ExactLeg, LinearAccounts
from node.margin.engine.linear.blocks import Part, blocks
from node.margin.engine.linear.columns import LARGEST, BoolArray, Instruments, rounded
from node.margin.engine.linear.levels import Levels, Sums
from node.margin.engine.linear.venue_columns import Column, Units
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.book import Balance, Book, Perpetual
from node.margin.models.errors import PortfolioError, UnknownAsset
from node.margin.models.market import Quote
from node.margin.models.profile import Composed, Parameters


@dataclass(frozen=True, slots=True)
class Positions:
    """The perpetuals of a block. Sizes are absolute amounts, modulo 2^64; `about` their floats, `sign` −1, 0 or 1."""

    part: Part
    sign: IntArray
    sizes: IntArray
    about: FloatArray
    funding: IntArray

    @classmethod
    def of(cls, part: Part) -> Positions:
        """Who holds none of it receives no funding."""
        about = part.about()
        signs = np.sign(about)
        about *= signs
        sign = signs.astype(np.int64)
        return cls(part, sign, part.amounts * sign, about, part.funding * np.abs(sign))

    def notional(self, price: Column) -> tuple[IntArray, FloatArray]:
        """⌈|amount|·price⌉, and about that."""
        near = self.about * price.about(self.part)
        return price.times(self.part, self.sizes, near, up=True), near

    def profits(self, price: Column, entry: Column) -> tuple[IntArray, FloatArray]:
        """⌊amount·(price − entry)⌋; and about how large both sides of it, and funding, are together."""
        part, entries = self.part, self.part.entries
        bought, sold = self.about * price.about(part), self.about * (entry.about(part) * entries)
        multiplier = part.of(price.multiplier)
        multiplier -= part.of(entry.multiplier) * entries
        found = rounded(part.amounts, multiplier, price.divisors(part), (bought - sold) * self.sign)
        bought += sold
        bought += np.abs(self.funding)
        return found, bought


@dataclass(slots=True)
class Block:
    """Some accounts: what they have, and what is found of them. Sums are [threshold, account] of 1e-12 USD.

    An integer that a rule makes of a leg may wrap at 2^64 only where `reach` or `leave` says so of the leg.
    """

    cash: IntArray
    collateral: Part
    debts: Part
    positions: Positions
    equity: IntArray
    requirement: IntArray
    _reached: list[tuple[Part, FloatArray]] = field(default_factory=list)
    _left: list[tuple[Part, BoolArray]] = field(default_factory=list)

    def reach(self, part: Part, sizes: FloatArray) -> None:
        """Say about how large an integer of each leg becomes."""
        self._reached.append((part, sizes))

    def leave(self, part: Part, legs: BoolArray) -> None:
        """Leave the accounts of some legs to the rules."""
        if legs.any():
            self._left.append((part, legs))

    def beyond(self) -> IntArray:
        """The accounts that the arrays did not hold, counted from the first."""
        found = np.zeros(len(self.cash), np.bool_)
        for part, legs in self._left:
            found |= part.sums(legs.astype(np.int64)) > 0
        most = sum(float(sizes.max(initial=0.0)) * part.legs.longest for part, sizes in self._reached)
        if most + float(np.abs(self.cash).max(initial=0)) >= LARGEST:
            total = np.abs(self.cash).astype(np.float64)
            for part, sizes in self._reached:
                total += part.sums(sizes)
            found |= total >= LARGEST
        return np.flatnonzero(found)


class ByKind(Protocol):
    """What a venue's rules know of instruments. `kinds` are those of collateral, debts, perpetuals; None is no rule."""

    @property
    def kinds(self) -> tuple[Units[Any] | None, ...]:
        """Where they are from."""
        ...


Columns = TypeVar("Columns", bound=ByKind)
Rule: TypeAlias = Callable[[Block, Columns], None]


@dataclass(frozen=True, slots=True)
class Frame(Generic[Parameters, Columns]):
    """What instruments are under a venue's rules, at one time. `exact_only` is by kind of leg and instrument."""

    venue: Venue[Parameters, Columns]
    instruments: Instruments
    quotes: Mapping[str, Quote]
    parameters: Parameters
    columns: Columns
    exact_only: tuple[BoolArray, ...]


@dataclass(frozen=True, slots=True)
class Venue(Generic[Parameters, Columns]):
    """A profile; what its rules know of instruments, as columns; and the rules on arrays."""

    profile: Composed[Parameters]
    columns: Callable[[Instruments, Mapping[str, Quote], Parameters], Columns]
    rules: tuple[Rule[Columns], ...]

    def frame(
        self, instruments: Instruments, quotes: Mapping[str, Quote], parameters: Parameters
    ) -> Frame[Parameters, Columns]:
        """Prepare instruments. Those that are not quoted, or not in the parameters, are their holders' errors."""
        columns = self.columns(instruments, quotes, parameters)
        everything = np.ones(len(instruments), np.bool_)
        exact_only = tuple(everything if units is None else units.exact_only for units in columns.kinds)
        return Frame(self, instruments, quotes, parameters, columns, exact_only)


def evaluate(accounts: LinearAccounts, frame: Frame[Parameters, Columns]) -> Levels:
    """Every account. What an account cannot be evaluated for is in `refused`, and stops no other.

    Raises InputError for accounts without cash or of other instruments than the frame's.
    """
    if accounts.cash is None or accounts.instruments is not frame.instruments:
        raise InputError("give accounts with their cash, of the frame's instruments", accounts=len(accounts))
    profile, rules = frame.venue.profile, frame.venue.rules
    levels = Levels.blank(profile.thresholds, len(accounts), accounts.refused)
    by_rules = set(accounts.beside)
    with np.errstate(invalid="ignore"):  # casts of what is too large; those accounts are replaced below
        for rows in blocks(accounts):
            parts = [Part.of_block(legs, rows) for legs in accounts.kinds]
            collateral, debts, perpetuals = parts
            found = levels.equity[:, rows], levels.requirement[:, rows]
            block = Block(accounts.cash[rows], collateral, debts, Positions.of(perpetuals), *found)
            for rule in rules:
                rule(block, frame.columns)
            for part, exact_only in zip(parts, frame.exact_only, strict=True):
                if exact_only.any():
                    block.leave(part, exact_only[part.places])
            by_rules.update((rows.start + block.beyond()).tolist())
    for row in sorted(by_rules - accounts.refused.keys()):
        try:
            book = book_of(accounts, row, frame.quotes)
            profile.refuse_unknown(book)
            exact = profile.levels(book, frame.parameters)
            levels.put(row, tuple(Sums(level.equity, level.requirement) for level in exact))
        except PortfolioError as error:
            levels.refused[row] = error
    return levels


def book_of(accounts: LinearAccounts, row: int, quotes: Mapping[str, Quote]) -> Book:
    """An account as the rules take it. Raises UnknownAsset for a leg that is not quoted."""
    legs, name = accounts.exact(row), accounts.name(row)

    def quote(leg: ExactLeg) -> Quote:
        asset = accounts.instruments[leg.instrument].name
        if asset not in quotes:
            raise UnknownAsset("it has no price", account=name, instrument=asset, field="market")
        return quotes[asset]

    collateral, debts = (
        tuple(Balance(leg.amount, quote(leg)) for leg in each if leg.amount) for each in (legs.collateral, legs.debts)
    )
    perpetuals = tuple(
        Perpetual(leg.amount, leg.entry, leg.funding, quote(leg)) for leg in legs.perpetuals if leg.amount
    )
    return Book(name, "", legs.cash, collateral, debts, perpetuals, ())

"""Accounts as Derive's portfolio margins take them by the thousand, and which are left to the rules.

Must not know marks, or what is required.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chains.errors import InputError
from node.margin.engine.derive.options import OPTION_DECIMALS, OPTION_UNIT, OptionFrame
from node.margin.engine.derive.rows import owners, part_of
from node.margin.math.amounts import BASE, LARGEST, Amounts, BoolArray
from node.margin.math.products import FloatArray, IntArray, Rows
from node.margin.models.derive_pm2.portfolio import Option
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fixed import ONE, WAD, Wad

CHUNK = 4_096
"""Accounts that are evaluated at a time."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Many accounts. `options` has amounts in millionths by the frame's columns, every other amount is in 1e-18.

    `cash` is money and has what a perpetual has not settled yet; `collaterals` is [accounts, collaterals of the frame],
    ≥ 0.
    """

    cash: Amounts
    options: Rows
    perpetuals: Amounts
    collaterals: Amounts

    def __len__(self) -> int:
        return len(self.options)

    def __getitem__(self, which: slice) -> Accounts:
        return Accounts(self.cash[which], part_of(self.options, which), self.perpetuals[which], self.collaterals[which])


def held_options(accounts: Accounts, place: int, listed: Sequence[Sequence[Option]]) -> list[list[tuple[int, Option]]]:
    """What one account holds of the options that are listed by expiry, each with its place there."""
    start, end = accounts.options.starts[place : place + 2]
    held = dict(zip(accounts.options.columns[start:end].tolist(), accounts.options.amounts[start:end], strict=True))
    found, column = [], 0
    for options in listed:
        some = [
            (i, Option(each.strike, each.is_call, Wad(int(held[column + i]) * OPTION_UNIT)))
            for i, each in enumerate(options)
            if held.get(column + i)
        ]
        column += len(options)
        found.append(some)
    return found


def owned(accounts: Accounts, place: int, names: Sequence[str]) -> list[Wad]:
    """Its collaterals. Raises OutOfRange for one that is owed."""
    amounts = accounts.collaterals[place].integers()
    for name, amount in zip(names, amounts, strict=True):
        if amount < 0:
            raise OutOfRange(
                "it may not be negative", account=f"account {place}", instrument=name, field="amount", value=amount
            )
    return [Wad(amount) for amount in amounts]


# === All of them ===


Found = Mapping[str, Amounts]
"""By name: money by account, or under `scenarios` [scenarios, accounts]."""


def evaluated(
    accounts: Accounts,
    left: BoolArray,
    names: Sequence[str],
    scenarios: int,
    evaluate: Callable[[Accounts], Found],
    by_rules: Callable[[int], Mapping[str, Sequence[int]]],
) -> tuple[dict[str, Amounts], dict[int, PortfolioError]]:
    """Some accounts at a time, and those left by the rules, one by one: what is found, by name, and their errors."""
    fitting = without(accounts, left) if left.any() else accounts
    total = {name: Amounts.zeros(len(accounts)) for name in names}
    total["scenarios"] = Amounts.zeros(scenarios, len(accounts))
    for first in range(0, len(accounts), CHUNK):
        chunk = slice(first, min(first + CHUNK, len(accounts)))
        for name, amounts in evaluate(fitting[chunk]).items():
            total[name].put((..., chunk), amounts)
    return total, dict(_by_rules(np.flatnonzero(left), total, by_rules))


def _by_rules(
    places: IntArray, total: Found, by_rules: Callable[[int], Mapping[str, Sequence[int]]]
) -> Iterator[tuple[int, PortfolioError]]:
    for place in places.tolist():
        try:
            found = by_rules(place)
            if any(not -LARGEST < number < LARGEST for numbers in found.values() for number in numbers):
                raise OutOfRange("its numbers are absurd", account=f"account {place}", bound=LARGEST)
        except PortfolioError as error:
            yield place, error
            continue
        for name, numbers in found.items():
            amounts = Amounts.of(numbers)
            total[name].put((..., place), amounts if name == "scenarios" else amounts[0])


# === What is left to the rules ===


def check(frame: OptionFrame, accounts: Accounts, collaterals: int) -> None:
    """Raises InputError where accounts are not of this frame, which has so many collaterals."""
    rows, count = accounts.options, len(accounts)
    lengths = (len(accounts.cash), len(accounts.perpetuals), len(accounts.collaterals))
    if lengths != (count,) * 3 or accounts.collaterals.high.shape[1:] != (collaterals,):
        raise InputError("give each account cash, a perpetual and every collateral", accounts=count, lengths=lengths)
    ascends = np.diff(rows.columns) > 0
    within = rows.starts[1:-1]
    ascends[within[(within > 0) & (within <= len(ascends))] - 1] = True  # from one row to the next
    if not ascends.all() or rows.columns.min(initial=0) < 0 or rows.columns.max(initial=-1) >= frame.columns:
        raise InputError("each row's columns are to ascend, and to be in the frame", columns=frame.columns)


@dataclass(frozen=True, slots=True)
class Bounds:
    """In USD, what an account's numbers cannot pass: by unit of an option, the perpetual and each collateral.

    `factor` is what the sum of all may be multiplied by. Floats: the margin to each bound is more than their error.
    """

    option: float
    perpetual: float
    collaterals: tuple[float, ...]
    factor: float

    @classmethod
    def of(
        cls,
        frame: OptionFrame,
        *,
        spot: Wad,
        perpetual: Wad,
        ratios: Sequence[Wad],
        collaterals: Sequence[tuple[Wad, Wad]],
        factors: Sequence[Wad],
    ) -> Bounds:
        """Of the largest ratio of a notional that is required; each collateral's price and what is charged of it."""
        notional = max((ONE, *ratios)) / WAD * (spot / WAD)
        moved = max((abs(scenario.move) / WAD for scenario in frame.scenarios), default=0.0) + 1.0
        damped = max((ONE, *(scenario.dampening for scenario in frame.scenarios))) / WAD
        counted = max((max(table.largest_discount, table.basis_factor) / WAD for table in frame.priced), default=0.0)
        return cls(
            option=notional + max((float(table.largest) / 1e12 for table in frame.priced), default=0.0),
            perpetual=perpetual / WAD * moved + notional,
            collaterals=tuple(price / WAD * (moved + charged / WAD) for price, charged in collaterals),
            factor=8.0 * max((ONE, *factors)) / WAD * damped * (1.0 + counted),
        )


def left_to_rules(frame: OptionFrame, accounts: Accounts, bounds: Bounds) -> BoolArray:
    """Accounts that could pass the bounds, owe a collateral, or hold what has no table."""
    rows = accounts.options
    gross = _of_rows(rows, np.abs(rows.amounts.astype(np.float64))) / 10**OPTION_DECIMALS + np.diff(rows.starts)
    size = gross * bounds.option + np.abs(_floats(accounts.cash)) / 1e12
    size += np.abs(_floats(accounts.perpetuals)) / WAD * bounds.perpetual
    left: BoolArray = np.abs(_floats(accounts.perpetuals)) >= LARGEST / 2
    for place, unit in enumerate(bounds.collaterals):
        held = np.abs(_floats(accounts.collaterals[:, place]))
        size += held / WAD * unit
        left |= held >= LARGEST / 2
    left |= size * bounds.factor >= LARGEST / 1e12
    left |= gross >= 2.0**52 / 10**OPTION_DECIMALS  # sums of amounts are made in floats, exactly
    left |= (accounts.collaterals.high < 0).any(axis=1)
    unpriced = np.array([table is None for table in frame.tables], dtype=np.bool_)
    if unpriced.any():
        left |= _of_rows(rows, unpriced[frame.expiry_of[rows.columns]] * (rows.amounts != 0).astype(np.float64)) > 0
    return left


def _floats(amounts: Amounts) -> FloatArray:
    return amounts.high.astype(np.float64) * BASE + amounts.low


def _of_rows(rows: Rows, numbers: FloatArray) -> FloatArray:
    """The sum of each row's numbers."""
    sums: FloatArray = np.bincount(owners(rows), weights=numbers, minlength=len(rows)).astype(np.float64, copy=False)
    return sums


def without(accounts: Accounts, left: BoolArray) -> Accounts:
    """The same accounts with nothing in those that are left out."""
    rows = accounts.options
    amounts = np.where(np.repeat(left, np.diff(rows.starts)), 0, rows.amounts)

    def kept(amounts: Amounts) -> Amounts:
        mask = left if amounts.high.ndim == 1 else left[:, None]
        return Amounts(np.where(mask, 0, amounts.high), np.where(mask, 0, amounts.low))

    return Accounts(
        kept(accounts.cash),
        Rows(rows.starts, rows.columns, amounts),
        kept(accounts.perpetuals),
        kept(accounts.collaterals),
    )

"""Accounts as `derive-pm2` takes them by the thousand, one of them as the rules read it, and which are left to them.

Must not know marks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chains.errors import InputError
from node.margin.engine.derive_pm2_frame import OPTION_DECIMALS, Frame
from node.margin.engine.derive_pm2_rows import owners, part_of
from node.margin.math.amounts import BASE, LARGEST, Amounts, BoolArray
from node.margin.math.products import FloatArray, Rows
from node.margin.models.derive_pm2.portfolio import Option, Portfolio
from node.margin.models.errors import OutOfRange
from node.margin.models.fixed import ONE, WAD, Money, Wad

OPTION_UNIT = Wad(WAD // 10**OPTION_DECIMALS)


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


def portfolio(frame: Frame, accounts: Accounts, place: int) -> Portfolio:
    """One account as the rules read it. Raises OutOfRange for a collateral that is owed."""
    start, end = accounts.options.starts[place : place + 2]
    held = dict(zip(accounts.options.columns[start:end].tolist(), accounts.options.amounts[start:end], strict=True))
    expiries, column = [], 0
    for expiry in frame.market.expiries:
        listed = list(enumerate(expiry.options, start=column))
        options = tuple(
            Option(each.strike, each.is_call, Wad(int(held[i]) * OPTION_UNIT)) for i, each in listed if held.get(i)
        )
        column += len(listed)
        if options:
            expiries.append(replace(expiry, options=options, order=tuple(range(len(options)))))
    collaterals = []
    for each, amount in zip(frame.market.collaterals, accounts.collaterals[place].integers(), strict=True):
        if amount < 0:
            raise OutOfRange(
                "it may not be negative", account=f"account {place}", instrument=each.name, field="amount", value=amount
            )
        collaterals.append(replace(each, amount=Wad(amount)))
    perpetual, amount = frame.market.perpetual, accounts.perpetuals[place : place + 1].integers()[0]
    return replace(
        frame.market,
        account=f"account {place}",
        cash=Money(accounts.cash[place : place + 1].integers()[0]),
        collaterals=tuple(collaterals),
        perpetual=replace(perpetual, amount=Wad(amount), pnl=Money(0), funding=Money(0))
        if perpetual and amount
        else None,
        expiries=tuple(expiries),
        option_count=sum(len(expiry.options) for expiry in expiries),
        shown=(),
    )


# === What is left to the rules ===


def check(frame: Frame, accounts: Accounts) -> None:
    """Raises InputError where accounts are not of this frame."""
    rows, count = accounts.options, len(accounts)
    lengths = (len(accounts.cash), len(accounts.perpetuals), len(accounts.collaterals))
    if lengths != (count,) * 3 or accounts.collaterals.high.shape[1:] != (len(frame.collaterals),):
        raise InputError("give each account cash, a perpetual and every collateral", accounts=count, lengths=lengths)
    ascends = np.diff(rows.columns) > 0
    within = rows.starts[1:-1]
    ascends[within[(within > 0) & (within <= len(ascends))] - 1] = True  # from one row to the next
    if not ascends.all() or rows.columns.min(initial=0) < 0 or rows.columns.max(initial=-1) >= frame.columns:
        raise InputError("each row's columns are to ascend, and to be in the frame", columns=frame.columns)
    if frame.market.perpetual is None and (accounts.perpetuals.high.any() or accounts.perpetuals.low.any()):
        raise InputError("the frame has no perpetual")


def left_to_rules(frame: Frame, accounts: Accounts) -> BoolArray:
    """Accounts that could pass the bounds. Estimates in floats: the margin to each bound is more than their error."""
    rows, market, rule = accounts.options, frame.market, frame.parameters.contingencies
    tables = [table for table in frame.tables if table is not None]
    counts = np.diff(rows.starts)
    gross = _of_rows(rows, np.abs(rows.amounts.astype(np.float64))) / 10**OPTION_DECIMALS + counts
    ratios = [rule.option_maintenance, rule.option_initial, rule.perpetual_maintenance, rule.perpetual_initial]
    ratios += [frame.perpetual_charge, ONE, *(charge for table in tables for charge in table.charges)]
    notional = max(ratios) / WAD * (market.spot / WAD)
    unit = notional + max((float(table.largest) / 1e12 for table in tables), default=0.0)
    moved = max((abs(scenario.move) / WAD for scenario in frame.parameters.scenarios), default=0.0) + 1.0
    perpetual = market.perpetual.price / WAD if market.perpetual else 0.0
    size = gross * unit + np.abs(_floats(accounts.cash)) / 1e12
    size += np.abs(_floats(accounts.perpetuals)) / WAD * (perpetual * moved + notional)
    for place, terms in enumerate(frame.collaterals):
        charged = moved + (terms.maintenance + terms.initial + terms.charge) / WAD
        size += np.abs(_floats(accounts.collaterals[:, place])) / WAD * (terms.price / WAD) * charged
    loss = max(frame.initial_factor, frame.parameters.loss.maintenance, ONE) / WAD
    damped = max(*(scenario.dampening for scenario in frame.parameters.scenarios), ONE) / WAD
    counted = 1.0 + max((max(table.largest_discount, table.basis_factor) / WAD for table in tables), default=0.0)
    left: BoolArray = size * (8.0 * loss * damped * counted) >= LARGEST / 1e12
    left |= gross >= 2.0**52 / 10**OPTION_DECIMALS  # sums of amounts are made in floats, exactly
    for amounts in (accounts.perpetuals, *(accounts.collaterals[:, i] for i in range(len(frame.collaterals)))):
        left |= np.abs(_floats(amounts)) >= LARGEST / 2
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

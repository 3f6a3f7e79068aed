"""`derive-pm2` for many accounts of one market, equal to the rules bit for bit.

    frame = Frame.of(market, parameters)     the marks, once
    evaluate(frame, accounts)                → Margins: every margin, contingency and scenario of every account

An account is a sparse row of integer amounts. Its value in each expiry under each scenario is that row times the table
of marks, exactly; the sign of that value decides its discount, so products are by expiry. From there on everything is
integers, rounded where the rules round. An account whose numbers would pass the bounds of that arithmetic, or that
holds what has no price, is evaluated by the rules themselves. Must not know prices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from chains.errors import InputError
from node.margin.engine.derive_pm2_frame import MARK_BASE, ExpiryTable, Frame
from node.margin.engine.derive_pm2_money import BASE, LARGEST, Amounts, BoolArray
from node.margin.math.products import FloatArray, IntArray, Rows
from node.margin.models.derive_pm2 import Result
from node.margin.models.derive_pm2 import evaluate as evaluate_one
from node.margin.models.derive_pm2.portfolio import Option, Portfolio
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fixed import ONE, WAD, Money, Wad

OPTION_UNIT = Wad(10**12)
"""Amounts of options are integers of a millionth."""
_PER_UNIT = WAD // OPTION_UNIT
CHUNK = 256
"""Accounts that are evaluated at a time, so that what belongs to them stays in cache."""


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


@dataclass(frozen=True, slots=True)
class Margins:
    """What the rules' Result has, for all accounts: money, by account; `scenarios` is [accounts, scenarios].

    `errors` says which accounts could not be evaluated, and why; their numbers are zero. `by_rules` are those that were
    left to the rules.
    """

    equity: Amounts
    option_value: Amounts
    collateral_value: Amounts
    scenarios: Amounts
    basis_contingency: Amounts
    worst: Amounts
    perpetual_maintenance: Amounts
    perpetual_initial: Amounts
    options_maintenance: Amounts
    options_initial: Amounts
    collateral_maintenance: Amounts
    collateral_initial: Amounts
    on_confidence: Amounts
    initial: Amounts
    maintenance: Amounts
    errors: Mapping[int, PortfolioError]
    by_rules: IntArray


_NAMES = tuple(field.name for field in fields(Margins) if field.name not in {"errors", "by_rules"})


def evaluate(frame: Frame, accounts: Accounts) -> Margins:
    """The margins of all accounts; one that cannot be evaluated stops no other.

    Raises InputError where the rows are not of this frame.
    """
    _check(frame, accounts)
    left = _left_to_rules(frame, accounts)
    fitting = _without(accounts, left) if left.any() else accounts
    total = {name: Amounts.zeros(len(accounts)) for name in _NAMES}
    total["scenarios"] = Amounts.zeros(len(accounts), len(frame.parameters.scenarios))
    blocks = np.zeros((2, min(CHUNK, len(accounts)), frame.columns))
    for first in range(0, len(accounts), CHUNK):
        chunk = slice(first, min(first + CHUNK, len(accounts)))
        for name, amounts in _margins(frame, fitting, chunk, blocks).items():
            total[name].put(chunk, amounts)
    errors = dict(_by_rules(frame, accounts, np.flatnonzero(left), total))
    return Margins(**total, errors=errors, by_rules=np.flatnonzero(left))


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
    )


# === What is left to the rules ===


def _check(frame: Frame, accounts: Accounts) -> None:
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


def _left_to_rules(frame: Frame, accounts: Accounts) -> BoolArray:
    """Accounts that could pass the bounds. Estimates in floats: the margin to each bound is more than their error."""
    rows, market, rule = accounts.options, frame.market, frame.parameters.contingencies
    tables = [table for table in frame.tables if table is not None]
    counts = np.diff(rows.starts)
    gross = _of_rows(rows, np.abs(rows.amounts.astype(np.float64))) / _PER_UNIT + counts
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
    # Sums of an amount's digit times a mark's are exact in floats below 2^53; both lower digits are below 10^6.
    left |= (gross >= 2**53 / (2 * MARK_BASE)) | (counts >= 2**53 / (2 * MARK_BASE**2))
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
    places = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    sums: FloatArray = np.bincount(places, weights=numbers, minlength=len(rows)).astype(np.float64, copy=False)
    return sums


def _without(accounts: Accounts, left: BoolArray) -> Accounts:
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


def _by_rules(
    frame: Frame, accounts: Accounts, places: IntArray, total: Mapping[str, Amounts]
) -> Iterator[tuple[int, PortfolioError]]:
    for place in places.tolist():
        try:
            found = _named(evaluate_one(portfolio(frame, accounts, place), frame.parameters))
            if any(not -LARGEST < number < LARGEST for numbers in found.values() for number in numbers):
                raise OutOfRange("its numbers are absurd", account=f"account {place}", bound=LARGEST)
        except PortfolioError as error:
            yield place, error
            continue
        for name, numbers in found.items():
            amounts = Amounts.of(numbers)
            total[name].put(place, amounts if name == "scenarios" else amounts[0])


def _named(result: Result) -> dict[str, list[int]]:
    """The rules' result under the names of Margins."""
    return {
        "equity": [result.equity],
        "option_value": [result.option_value],
        "collateral_value": [result.collateral_value],
        "scenarios": [line.pnl for line in result.scenarios],
        "basis_contingency": [result.basis_contingency],
        "worst": [result.worst],
        "perpetual_maintenance": [result.on_perpetual.maintenance],
        "perpetual_initial": [result.on_perpetual.initial],
        "options_maintenance": [result.on_options.maintenance],
        "options_initial": [result.on_options.initial],
        "collateral_maintenance": [result.on_collateral.maintenance],
        "collateral_initial": [result.on_collateral.initial],
        "on_confidence": [result.on_confidence],
        "initial": [result.initial],
        "maintenance": [result.maintenance],
    }


# === Some accounts at a time ===


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some accounts, with each entry of their rows: its account among them, its column and its amount."""

    cash: Amounts
    perpetuals: Amounts
    collaterals: Amounts
    rows: IntArray
    columns: IntArray
    amounts: IntArray

    def __len__(self) -> int:
        return len(self.cash)


def _margins(frame: Frame, accounts: Accounts, which: slice, blocks: FloatArray) -> dict[str, Amounts]:
    starts = accounts.options.starts[which.start : which.stop + 1]
    entries = slice(starts[0], starts[-1])
    chunk = _Chunk(
        accounts.cash[which],
        accounts.perpetuals[which],
        accounts.collaterals[which],
        np.repeat(np.arange(which.stop - which.start), np.diff(starts)),
        accounts.options.columns[entries],
        accounts.options.amounts[entries],
    )
    rule, loss = frame.parameters.contingencies, frame.parameters.loss
    on_collateral = _collaterals(frame, chunk)
    on_options = _options(frame, chunk, blocks)
    notional = _perpetual_notional(frame, chunk)
    exposure = on_collateral.exposure
    if frame.market.perpetual is not None:
        exposure = (exposure + chunk.perpetuals.worth(frame.market.perpetual.price)).whole()
    scenarios = _scenarios(frame, exposure, on_options.moves)
    worst = on_options.basis.least(scenarios.least_of_rows())
    equity = (chunk.cash + on_collateral.value + on_options.value).whole()
    short = _notional(_naked_shorts(frame, chunk), frame.market.spot)
    required = {
        "perpetual_maintenance": notional.up(rule.perpetual_maintenance),
        "options_maintenance": short.up(rule.option_maintenance),
        "collateral_maintenance": on_collateral.maintenance,
    }
    beside = {
        "perpetual_initial": notional.up(rule.perpetual_initial),
        "options_initial": short.up(rule.option_initial),
        "collateral_initial": on_collateral.initial,
        "on_confidence": (on_collateral.charge + _on_confidence(frame, chunk, notional)).whole(),
    }
    maintenance, initial = worst.down(loss.maintenance) + equity, worst.down(frame.initial_factor) + equity
    for each in required.values():
        maintenance, initial = maintenance - each, initial - each
    for each in beside.values():
        initial = initial - each
    return {
        "equity": equity,
        "option_value": on_options.value,
        "collateral_value": on_collateral.value,
        "scenarios": scenarios,
        "basis_contingency": on_options.basis,
        "worst": worst,
        **required,
        **beside,
        "initial": initial.whole(),
        "maintenance": maintenance.whole(),
    }


@dataclass(frozen=True, slots=True)
class _Options:
    """What options are worth, what each scenario does to them, and their basis contingency. `moves` are not whole."""

    value: Amounts
    moves: Amounts
    basis: Amounts


def _options(frame: Frame, chunk: _Chunk, blocks: FloatArray) -> _Options:
    count, where = len(chunk), (chunk.rows, chunk.columns)
    digits = _digits(chunk)
    for block, amounts in zip(blocks, digits, strict=False):
        block[where] = amounts
    held = np.zeros((len(frame.tables), count), dtype=np.bool_)
    held[frame.expiry_of[chunk.columns], chunk.rows] = True
    value, basis = Amounts.zeros(count), Amounts.zeros(count)
    moves = Amounts.zeros(count, len(frame.parameters.scenarios))
    for table, of_rows in zip(frame.tables, held, strict=True):
        if table is None or not of_rows.any():
            continue
        rows = slice(0, count) if of_rows.all() else np.flatnonzero(of_rows)
        values = _values([block[rows, table.first : table.last] for block in blocks[: len(digits)]], table)
        current, at_up, at_down = (values[:, place] for place in frame.places)
        value.add(rows, current)
        basis.add(rows, _basis(current, at_up, at_down, table))
        moves.add(rows, _expiry_moves(frame, table, values, current))
    for block in blocks[: len(digits)]:
        block[where] = 0.0
    return _Options(value.whole(), moves, basis.whole())


def _digits(chunk: _Chunk) -> list[IntArray]:
    """The amounts, or where their sums with a mark's digit could pass 2^53, their two digits of base 10^6."""
    gross = np.bincount(chunk.rows, weights=np.abs(chunk.amounts.astype(np.float64)), minlength=1)
    if gross.max() < 2**52 / MARK_BASE:
        return [chunk.amounts]
    upper = chunk.amounts // MARK_BASE
    return [chunk.amounts - upper * MARK_BASE, upper]


def _values(blocks: Sequence[FloatArray], table: ExpiryTable) -> Amounts:
    """⌊Σ amount·mark / 10^6⌋ of each row under each move; the amounts are in one digit or two, the last one signed."""
    places, moves = table.digits, table.marks.shape[1] // table.digits
    sums: list[IntArray] = []
    for i, amounts in enumerate(blocks):
        found = (amounts @ table.marks).astype(np.int64)
        for j in range(places):
            of_place = found[:, j * moves : (j + 1) * moves]
            if i + j < len(sums):
                sums[i + j] = sums[i + j] + of_place
            else:
                sums.append(of_place)
    lowest, units, thousands, *above = sums
    high = thousands // 1_000
    low = lowest // MARK_BASE + units + (thousands - high * 1_000) * MARK_BASE
    for place, digit in enumerate(above):
        high = high + digit * (1_000 * MARK_BASE**place)
    return Amounts(high, low).whole()


def _basis(current: Amounts, at_up: Amounts, at_down: Amounts, table: ExpiryTable) -> Amounts:
    worse = (at_up - current).whole().least((at_down - current).whole())
    return worse.at_most_zero().whole().down(table.basis_factor)


def _expiry_moves(frame: Frame, table: ExpiryTable, values: Amounts, current: Amounts) -> Amounts:
    shocked = values[:, : len(frame.parameters.scenarios)]
    below = shocked.high >> np.int64(63)  # all bits where it is negative, none elsewhere
    gain = [long ^ ((long ^ short) & below) for long, short in zip(table.long_gain, table.short_gain, strict=True)]
    moves = shocked.down_by(gain) + shocked - current.column()
    if len(frame.skews):
        moves.put((slice(None), frame.skews), moves[:, frame.skews].whole().losses())
    return moves


def _scenarios(frame: Frame, exposure: Amounts, moves: Amounts) -> Amounts:
    """dampening·(moves of options + moves with the spot)."""
    of_moves = [exposure.down(move) for move in frame.spot_moves]
    high, low = np.stack([each.high for each in of_moves], axis=1), np.stack([each.low for each in of_moves], axis=1)
    moved = (moves + Amounts(high, low)[:, frame.spot_move_of]).whole()
    return moved.down_by(frame.dampening).whole()


# === Contingencies ===


@dataclass(frozen=True, slots=True)
class _Collaterals:
    """What collaterals are worth and cost; `exposure` is the value of those that move with the spot."""

    value: Amounts
    exposure: Amounts
    maintenance: Amounts
    initial: Amounts
    charge: Amounts


def _collaterals(frame: Frame, chunk: _Chunk) -> _Collaterals:
    value, exposure, maintenance, initial, charge = (Amounts.zeros(len(chunk)) for _ in range(5))
    for place, terms in enumerate(frame.collaterals):
        worth = chunk.collaterals[:, place].worth(terms.price)
        value += worth
        exposure += worth if terms.risk_cancelling else Amounts.zeros(len(chunk))
        maintenance += worth.up(terms.maintenance)
        initial += worth.up(terms.initial)
        charge += worth.up(terms.charge)
    return _Collaterals(value.whole(), exposure.whole(), maintenance.whole(), initial.whole(), charge.whole())


def _notional(amounts: Amounts, spot: Wad) -> Amounts:
    """amount·spot, rounded up, of whole amounts ≥ 0."""
    return (-(-amounts).whole().worth(spot)).whole()


def _perpetual_notional(frame: Frame, chunk: _Chunk) -> Amounts:
    return _notional((-chunk.perpetuals.losses()).whole(), frame.market.spot)


def _naked_shorts(frame: Frame, chunk: _Chunk) -> Amounts:
    """Σ over strikes of max(0, short − long): the options of a strike are beside each other in a row."""
    if not len(chunk.rows):
        return Amounts.zeros(len(chunk))
    strikes = frame.strikes[chunk.columns]
    changes = (np.diff(strikes) != 0) | (np.diff(chunk.rows) != 0)
    first = np.concatenate([[0], np.flatnonzero(changes) + 1])
    net = np.add.reduceat(chunk.amounts, first)
    return _option_amounts(chunk.rows[first], np.maximum(-net, 0), len(chunk))


def _option_amounts(rows: IntArray, amounts: IntArray, count: int) -> Amounts:
    """By account the sum of amounts in millionths, in 1e-18. _left_to_rules keeps it below 2^53: exact in floats."""
    total = np.bincount(rows, weights=amounts.astype(np.float64), minlength=count).astype(np.int64)
    return Amounts(total * (OPTION_UNIT // BASE), np.zeros_like(total))


def _on_confidence(frame: Frame, chunk: _Chunk, notional: Amounts) -> Amounts:
    total = notional.up(frame.perpetual_charge)
    beside = (chunk.perpetuals.high != 0) | (chunk.perpetuals.low != 0)
    charged = [(place, table) for place, table in enumerate(frame.tables) if table and any(table.charges)]
    for place, table in charged:
        entries = frame.expiry_of[chunk.columns] == place
        gross = _option_amounts(chunk.rows[entries], np.abs(chunk.amounts[entries]), len(chunk))
        size = _notional(gross, frame.market.spot)
        for rows, charge in zip((~beside, beside), table.charges, strict=True):
            if charge:
                total.add(rows, size[rows].up(charge))
    return total

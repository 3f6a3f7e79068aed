"""`derive-sm` for many accounts of one market, equal to the rules bit for bit at both thresholds.

    frame = Frame.of(books, parameters)      marks, payoffs and what a unit of each option needs, once
    margins(positions, frame)                → Required of a batch

What an expiry can lose is an account's sparse amounts times the table of payoffs at every strike, exactly; what each
short option needs by itself is rounded option by option, as in the rules. What is not an option is counted by the rules
themselves when an account is read. What the arithmetic does not hold is left to them. Must not know volatilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from node.margin.engine.derive.options import ratio_columns
from node.margin.engine.portfolio import Batch, batched, floored, in_wads, of_integers, raised
from node.margin.engine.scanning.scan import larger
from node.margin.engine.table import InstrumentTable
from node.margin.math.amounts import LARGEST, Amounts, Digits
from node.margin.math.products import LARGEST_BITS, DenseRows, IntArray, Table, products
from node.margin.models import derive_sm as model
from node.margin.models.book import Book, Option
from node.margin.models.derive_sm import SmParameters
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fixed import ONE, Wad, product
from node.margin.models.profile import Level
from node.margin.models.profiles import DERIVE_SM

LARGEST_MONEY = 10**24
"""1e12 USD: an account with as much besides its options is evaluated by the rules."""
_LARGEST_WORTH = LARGEST * 10**24 // 1_500
"""In 1e-36 USD: no rule requires more than 1,500 times what a unit is worth, by the largest ratios that are read."""
_LARGEST_RESULT = (1 << 62) * 10**9
_MONEY_DECIMALS = 6
"""What a product of two numbers in 1e-18 loses beyond 18 decimals, as money."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """The options of an expiry: the columns `part` of the table.

    `payoffs` are what a unit pays at zero and at each strike, in 10^(exponent−18) USD; `strike` says by column which of
    those is its own.
    """

    part: slice
    payoffs: IntArray
    strike: IntArray
    exponent: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One market under one set of parameters.

    By column, as digits of base 10^9: marks, spot prices, and the fractions that a short option needs of its notional
    (initially, and at maintenance), of its mark, and of its maintenance margin. By expiry: the spot, what an unpaired
    call costs at both thresholds, and what confidence costs of the notional.
    """

    parameters: SmParameters
    table: InstrumentTable
    expiries: tuple[Expiry, ...]
    calls: IntArray
    marks: Digits
    prices: Digits
    initial: Digits
    maintenance: Digits
    of_mark: Digits
    offset: Digits
    spots: Digits
    unpaired: tuple[Digits, Digits]
    charged: Digits

    @classmethod
    def of(cls, books: Sequence[Book], parameters: SmParameters) -> Frame:
        """Of all options that books of one market hold on underlyings that the parameters name."""
        options = [each for book in books for each in book.options if each.quote.asset in parameters.assets]
        table = InstrumentTable.of(options, dict.fromkeys(parameters.assets, ()), discounted=False)
        table, expiries = _with_payoffs(table)
        listed, first = table.options, [table.options[each.part.start] for each in expiries]
        rules = [parameters.assets[each.quote.asset].options for each in listed]
        pairs = list(zip(listed, rules, strict=True))
        nothing = Wad(0)
        of_expiry = [parameters.assets[each.quote.asset].options for each in first]
        return cls(
            parameters=parameters,
            table=table,
            expiries=expiries,
            calls=np.array([each.is_call for each in listed], dtype=np.int64),
            marks=_digits([Wad(int(mark)) for mark in table.marks[:, 0]]),
            prices=_digits([each.quote.price for each in listed]),
            initial=_digits([_fraction(each, rule) for each, rule in pairs]),
            maintenance=_digits(
                [rule.maintenance_call if each.is_call else rule.maintenance_put for each, rule in pairs]
            ),
            of_mark=_digits([nothing if each.is_call else rule.maintenance_put_mark for each, rule in pairs]),
            offset=_digits([nothing if each.is_call else rule.put_offset for each, rule in pairs]),
            spots=_digits([each.quote.price for each in first]),
            unpaired=(
                _digits([product(o.expiry.forward, r.unpaired_initial) for o, r in zip(first, of_expiry, strict=True)]),
                _digits(
                    [product(o.expiry.forward, r.unpaired_maintenance) for o, r in zip(first, of_expiry, strict=True)]
                ),
            ),
            charged=_digits([_confidence_charge(each, parameters) for each in first]),
        )


def _fraction(option: Option, rules: model.OptionRules) -> Wad:
    spot = option.quote.price
    beyond = option.strike - spot if option.is_call else spot - option.strike
    return model.short_fraction(spot, beyond, rules)


def _confidence_charge(option: Option, parameters: SmParameters) -> Wad:
    rules = parameters.assets[option.quote.asset]
    least = min(option.quote.confidence, option.expiry.confidence)
    return Wad(0) if least >= rules.confidence_threshold else product(ONE - least, rules.confidence_factor)


def _depeg_charge(parameters: SmParameters) -> Wad:
    coin = parameters.depeg
    return product(max(0, coin.threshold - coin.stable), coin.factor)


def _digits(ratios: Sequence[Wad]) -> Digits:
    return [column[:, 0] for column in ratio_columns(ratios)]


def _with_payoffs(table: InstrumentTable) -> tuple[InstrumentTable, tuple[Expiry, ...]]:
    """The expiries of a table; options whose strikes have too many digits are not usable."""
    expiries, usable, first = [], table.usable.copy(), 0
    for _, group in groupby(table.options, key=lambda each: (each.quote.asset, each.expiry.seconds)):
        options = list(group)
        part, first = slice(first, first + len(options)), first + len(options)
        exponent = next(n for n in range(18, -1, -1) if all(each.strike % 10**n == 0 for each in options))
        strikes = sorted({each.strike // 10**exponent for each in options})
        if strikes[-1].bit_length() > LARGEST_BITS:
            usable[part] = False
            strikes = [0] * len(strikes)
        at = np.array([0, *strikes], dtype=np.int64)
        own = np.array([sorted({each.strike for each in options}).index(each.strike) + 1 for each in options])
        side = np.array([1 if each.is_call else -1 for each in options])
        payoffs = np.maximum(side[:, None] * (at[None, :] - at[own][:, None]), 0)
        expiries.append(Expiry(part, payoffs, own, exponent))
    return replace(table, usable=usable), tuple(expiries)


# === Accounts ===


@dataclass(frozen=True, slots=True)
class Required:
    """Equity and requirement at both thresholds, in money, account by account."""

    initial_equity: Amounts
    initial: Amounts
    maintenance_equity: Amounts
    maintenance: Amounts

    @classmethod
    def zeros(cls, count: int) -> Required:
        """Nothing."""
        return cls(*(Amounts.zeros(count) for _ in range(4)))

    def columns(self) -> Iterator[Amounts]:
        """All four, in order."""
        yield from (self.initial_equity, self.initial, self.maintenance_equity, self.maintenance)


@dataclass(frozen=True, slots=True)
class Margins:
    """What is required of all accounts, by place; `errors` says which cannot be evaluated, and why: they are zero.

    `by_rules` are those that were left to the rules.
    """

    required: Required
    errors: Mapping[int, PortfolioError]
    by_rules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Positions:
    """A batch of accounts: what is required of them without their options, and their rows as they are multiplied."""

    batch: Batch
    beside: Required
    dense: DenseRows

    @classmethod
    def of(cls, batch: Batch, beside: Required, frame: Frame) -> Positions:
        """With what follows from the batch alone."""
        return cls(batch, beside, batch.dense(frame.table))


def evaluate(books: Sequence[Book], parameters: SmParameters) -> Margins:
    """Every account of one market. No account stops another."""
    frame = Frame.of(books, parameters)
    batches, left = positions(books, frame)
    required, errors = Required.zeros(len(books)), dict[int, PortfolioError]()
    for held in batches:
        for into, numbers in zip(required.columns(), margins(held, frame).columns(), strict=True):
            into.put(held.batch.accounts, numbers)
    for place in left:
        try:
            found = _counted(books[place], parameters, _LARGEST_RESULT)
        except PortfolioError as error:
            errors[place] = error
        else:
            for into, number in zip(required.columns(), found, strict=True):
                into.put(np.array([place]), of_integers(np.array([number], dtype=object)))
    return Margins(required, errors, left)


def _counted(book: Book, parameters: SmParameters, bound: int) -> list[int]:
    """By the rules. Raises PortfolioError, of an account whose numbers reach the bound too."""
    DERIVE_SM.refuse_unknown(book)
    levels: tuple[Level, ...] = DERIVE_SM.levels(book, parameters)
    for level in levels:
        for field, number in (("equity", level.equity), ("requirement", level.requirement)):
            if abs(number) >= bound:
                raise OutOfRange(
                    "it is absurdly large: check the amounts",
                    account=book.account,
                    field=f"{level.threshold.name} {field}",
                    value=number,
                )
    return [number for level in levels for number in (level.equity, level.requirement)]


def positions(books: Sequence[Book], frame: Frame) -> tuple[list[Positions], tuple[int, ...]]:
    """Books of the frame's market as arrays, and the places of those that are left to the rules."""
    beside = dict[int, list[int]]()
    for place, book in enumerate(books):
        try:
            counted = _counted(replace(book, options=()), frame.parameters, LARGEST_MONEY)
        except PortfolioError:  # the rules say it again, of the whole account
            continue
        if _worth(book.options) < _LARGEST_WORTH:
            beside[place] = counted
    batches, unheld = batched(((place, books[place].options) for place in beside), frame.table)
    left = tuple(sorted({*range(len(books))} - {*beside} | {*unheld}))
    return [_positions(batch, beside, frame) for batch in batches], left


def _worth(options: Sequence[Option]) -> int:
    """No less than what options or their underlyings are worth, in 1e-36 USD: no mark is above strike and forward."""
    return sum(abs(each.amount) * max(each.strike, each.quote.price, each.expiry.forward) for each in options)


def _positions(batch: Batch, beside: Mapping[int, list[int]], frame: Frame) -> Positions:
    columns = zip(*(beside[place] for place in batch.accounts.tolist()), strict=True)
    required = Required(*(of_integers(np.array(column, dtype=object)) for column in columns))
    return Positions.of(batch, required, frame)


# === A batch ===


def margins(held: Positions, frame: Frame) -> Required:
    """What is required of the accounts of a batch, in order."""
    initial, maintenance = held.beside.initial, held.beside.maintenance
    if frame.expiries:
        found = [_options(held, frame, slice(first, last), losses) for first, last, losses in _losses(held, frame)]
        initial = initial + _joined([each for each, _ in found])
        maintenance = maintenance + _joined([each for _, each in found])
    return Required(held.beside.initial_equity, initial.whole(), held.beside.maintenance_equity, maintenance.whole())


def _joined(parts: Sequence[Amounts]) -> Amounts:
    return Amounts(np.concatenate([each.high for each in parts]), np.concatenate([each.low for each in parts]))


def _losses(held: Positions, frame: Frame) -> Iterator[tuple[int, int, Amounts]]:
    """Some accounts at a time: the worst that each expiry pays, at most zero, [accounts, expiries].

    Between an account's own strikes a payoff is a line, so that other strikes below its highest one decide nothing;
    those above it do not count.
    """
    tables = [Table.of(each.payoffs, held.dense.row_bits, each.part.start) for each in frame.expiries]
    highest = _highest_strikes(held.batch, frame)
    for first, last, sums in products(held.dense, tables):
        worst = Amounts.zeros(last - first, len(frame.expiries))
        for place, (each, found) in enumerate(zip(frame.expiries, sums, strict=True)):
            places = each.exponent - held.batch.decimals - _MONEY_DECIMALS
            pays = raised(floored(found, max(0, -places)), max(0, places))
            beyond = np.arange(each.payoffs.shape[1])[:, None] > highest[first:last, place][None, :]
            pays = Amounts(np.where(beyond, 0, pays.high), np.where(beyond, 0, pays.low))
            worst.put((slice(None), place), pays.lowest().at_most_zero())
        yield first, last, worst


def _highest_strikes(batch: Batch, frame: Frame) -> IntArray:
    """[accounts, expiries]: the place of the highest strike that an account has; that of zero where it has none."""
    parts = batch.by_part([each.part for each in frame.expiries])
    strike = np.concatenate([each.strike for each in frame.expiries])
    found = np.zeros(len(parts), dtype=np.int64)
    some = np.flatnonzero(np.diff(parts.starts))
    found[some] = strike[parts.columns[parts.starts[some + 1] - 1]]
    return found.reshape(len(batch), len(frame.expiries))


def _options(held: Positions, frame: Frame, block: slice, worst: Amounts) -> tuple[Amounts, Amounts]:
    """What the options of some accounts need, initially and at maintenance."""
    batch, count = held.batch, len(frame.expiries)
    entries = slice(int(batch.rows.starts[block.start]), int(batch.rows.starts[block.stop]))
    amounts, columns = batch.rows.amounts[entries], batch.rows.columns[entries]
    owner = np.repeat(np.arange(block.stop - block.start), np.diff(batch.rows.starts[block.start : block.stop + 1]))
    expiry = np.repeat(np.arange(count), [each.part.stop - each.part.start for each in frame.expiries])
    place = owner * count + expiry[columns]
    shape = (block.stop - block.start, count)

    short = np.flatnonzero(amounts < 0)
    alone = [_added(place[short], needed, shape) for needed in _alone(amounts[short], columns[short], batch, frame)]
    calls = in_wads(_summed(place, amounts * frame.calls[columns], shape), batch.decimals)
    unpaired = (-calls.at_most_zero()).whole()
    owed = in_wads(_summed(place, -np.minimum(amounts, 0), shape), batch.decimals).cost_by(frame.spots)
    by_level = [
        by_itself.least((unpaired.cost_by(beyond) - worst).whole())
        for by_itself, beyond in zip(alone, frame.unpaired, strict=True)
    ]
    charged = owed.up_by(frame.charged) + owed.up(_depeg_charge(frame.parameters))
    return _across(by_level[0] + charged), _across(by_level[1])


def _across(numbers: Amounts) -> Amounts:
    """The sum over the expiries."""
    return Amounts(numbers.high.sum(axis=1), numbers.low.sum(axis=1)).whole()


def _summed(place: IntArray, amounts: IntArray, shape: tuple[int, int]) -> IntArray:
    total = np.zeros(shape[0] * shape[1], dtype=np.int64)
    np.add.at(total, place, amounts)
    return total.reshape(shape)


def _added(place: IntArray, numbers: Amounts, shape: tuple[int, int]) -> Amounts:
    return Amounts(_summed(place, numbers.high, shape), _summed(place, numbers.low, shape)).whole()


def _alone(amounts: IntArray, columns: IntArray, batch: Batch, frame: Frame) -> tuple[Amounts, Amounts]:
    """What each short option needs by itself, initially and at maintenance: a call nothing of its mark or maintenance.

    Maintenance: the mark and the larger of a fraction of the spot and one of the mark. Initially: the mark and a
    fraction of the spot, or that of the maintenance.
    """

    def of(digits: Digits) -> Digits:
        return [digit[columns] if isinstance(digit, np.ndarray) else digit for digit in digits]

    size = in_wads(-amounts, batch.decimals).whole()
    owed, notional = size.up_by(of(frame.marks)), size.cost_by(of(frame.prices))
    maintenance = (owed + larger(notional.up_by(of(frame.maintenance)), owed.up_by(of(frame.of_mark)))).whole()
    strict = (owed + notional.up_by(of(frame.initial))).whole()
    return larger(strict, maintenance.up_by(of(frame.offset))), maintenance

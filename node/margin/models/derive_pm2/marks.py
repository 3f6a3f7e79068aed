"""The non-linear part: the options of one expiry priced under each shock, for instruments and not for accounts.

Reproducible floats become integers here and nowhere else. Must not know amounts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

import numpy as np

from node.margin.math import FloatArray
from node.margin.models.derive_pm2 import rules
from node.margin.models.derive_pm2.portfolio import Expiry, Parameters, Shock, VolShock
from node.margin.models.errors import MissingField, OutOfRange
from node.margin.models.fixed import ONE, Money, Wad, as_float, as_money, product
from node.margin.models.pricing import black76

_LARGEST_MARK = 1e15
"""In USD, for one option: beyond it the inputs are absurd."""
_SMALLEST_DISCOUNT = 1e-9
"""What a dollar at expiry is worth now; less is an absurd rate."""
Section = TypeVar("Section")
Made = TypeVar("Made")
Move: TypeAlias = tuple[Wad, Shock]
"""What the spot is multiplied by, and what happens to volatility."""
UNMOVED: Move = (ONE, Shock.NONE)


@dataclass(frozen=True, slots=True)
class OptionLine:
    """An option's volatility and mark, and what the parallel shocks make of its volatility."""

    vol: float
    mark: Money
    vol_up_multiplier: float
    vol_down_multiplier: float
    vol_up: float
    vol_down: float


@dataclass(frozen=True, slots=True)
class ExpiryMarks:
    """The market of one expiry: strikes, call flags and volatilities under each shock, in the order of its options."""

    account: str
    expiry: Expiry
    strikes: FloatArray
    calls: FloatArray
    vols: dict[Shock, FloatArray]
    discount: float

    @classmethod
    def of(cls, account: str, expiry: Expiry, parameters: Parameters) -> ExpiryMarks:
        """Raises MissingField for a shock that is wanted and not given, OutOfRange for a surface without variance."""
        strikes = np.array([as_float(option.strike) for option in expiry.options])
        calls = np.array([float(option.is_call) for option in expiry.options])
        vol = expiry.surface.vol(strikes)
        if not np.isfinite(vol).all():
            raise _no_price(account, expiry, strikes[~np.isfinite(vol)][0], "SVIparam")
        shocks = {scenario.shock for scenario in parameters.scenarios}
        vols = {Shock.NONE: vol}
        if shocks & {Shock.UP, Shock.DOWN}:
            parallel = given(parameters.vol, account, "VolShock")
            multiple = rules.term_multiple(expiry.seconds, parallel)
            vols[Shock.UP] = rules.vol_up(vol, multiple, parallel)
            vols[Shock.DOWN] = rules.vol_down(vol, multiple, parallel)
        for shock in sorted(shocks & {Shock.LINEAR, Shock.ABS}):
            skew = given(parameters.skew, account, "SkewShock")
            forward = as_float(expiry.forward + expiry.forward_fixed)
            vols[shock] = rules.skewed_vol(vol, strikes, forward, expiry.years, shock, skew)
        discount = rules.discount_factor(expiry.rate, expiry.years)
        if discount < _SMALLEST_DISCOUNT:
            raise _no_price(account, expiry, strikes[0], "Rate")
        return cls(account, expiry, strikes, calls, vols, discount)

    def marks(self, moves: Sequence[Move]) -> list[list[Money]]:
        """The options' prices under each move: the spot multiplied, the volatility shocked.

        A skew shock leaves the forward where it is; the part of it that settlement has fixed never moves.
        """
        forwards = [
            (self.expiry.forward if shock.is_skew else product(self.expiry.forward, spot)) + self.expiry.forward_fixed
            for spot, shock in moves
        ]
        prices = black76(
            np.array([[as_float(forward)] for forward in forwards]),
            self.strikes,
            self.expiry.years,
            np.array([self.vols[shock] for _, shock in moves]),
            self.discount,
            self.calls,
        )
        absurd = ~(prices < _LARGEST_MARK).all(axis=0)
        if absurd.any():
            raise _no_price(self.account, self.expiry, self.strikes[absurd][0], "mark")
        return [[as_money(price) for price in row] for row in prices.tolist()]

    def lines(self, marks: list[Money], parallel: VolShock | None) -> tuple[OptionLine, ...]:
        """One line for each option; without parallel shocks its volatility stays."""
        multiple = rules.term_multiple(self.expiry.seconds, parallel) if parallel else 0.0
        up = rules.vol_up_multiplier(multiple, parallel) if parallel else 1.0
        down = rules.vol_down_multiplier(multiple, parallel) if parallel else 1.0
        vol = self.vols[Shock.NONE]
        raised, lowered = self.vols.get(Shock.UP, vol), self.vols.get(Shock.DOWN, vol)
        return tuple(
            OptionLine(each, mark, up, down, high, low)
            for each, mark, high, low in zip(vol.tolist(), marks, raised.tolist(), lowered.tolist(), strict=True)
        )


MOST_KEPT = 1_024


class Remembered:
    """What was made by a key, up to a number."""

    def __init__(self) -> None:
        self._found: dict[Hashable, object] = {}

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What is remembered by the key; else it is made."""
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MOST_KEPT:
                self._found.clear()
            found = self._found[key] = make()
        return cast("Made", found)


class Markets:
    """What options are worth under one set of parameters, priced once for all accounts and trials that hold them."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.valued = Remembered()
        """What accounts' expiries come to, by the expiry: trials of a plan change few of them."""
        self._marked = Remembered()

    def priced(
        self, account: str, expiry: Expiry, moves: Sequence[Move]
    ) -> tuple[list[list[Money]], tuple[OptionLine, ...]]:
        """The marks of an expiry's options under each move, and their lines; the first move is none."""

        def made() -> tuple[list[list[Money]], tuple[OptionLine, ...]]:
            market = ExpiryMarks.of(account, expiry, self.parameters)
            marks = market.marks(moves)
            return marks, market.lines(marks[0], self.parameters.vol)

        listed = tuple((option.strike, option.is_call) for option in expiry.options)
        feeds = expiry.seconds, expiry.forward, expiry.forward_fixed, expiry.rate, expiry.surface
        return self._marked.once((listed, feeds, *moves), made)


def given(section: Section | None, account: str, name: str) -> Section:
    """The section of the parameters, or MissingField."""
    if section is None:
        raise MissingField("the portfolio needs these parameters", account=account, field=name)
    return section


def _no_price(account: str, expiry: Expiry, strike: float, field: str) -> OutOfRange:
    return OutOfRange(
        "the market gives no finite price; check forward, rate and surface",
        account=account,
        instrument=f"option with strike {strike:g} in {expiry.seconds} s",
        field=field,
    )

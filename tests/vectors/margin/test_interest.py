"""Derive's interest sequence: what suppliers and borrowers have after each event, and the rate from then on.

The ledger that the sequence needs (who trades with whom, what the security module gets, what is printed, burned or
lost) is replayed here from the file's events; rates and growth are the model's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from node.margin.models import auction, interest
from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.models.interest import RateCurve
from tests.shared import shared

FILE: dict[str, Any] = json.loads(shared("vectors/margin/derive-other/cashAsset__interest_sequence.json").read_text())
CURVE = RateCurve(Wad(5 * WAD // 100), Wad(3 * WAD // 10), Wad(6 * WAD // 10), Wad(4 * WAD // 10))
"""The test's set-up: 5 % and 0.3 a unit of utilisation up to 0.6 (which the sequence never reaches)."""
NAMES = ("Alice", "Bob", "Charlie", "David", "Eric", "module")
STEPS = range(len(FILE["Times"]))
DAY = 86_400


@pytest.mark.parametrize("step", STEPS)
def test_rates_by_utilisation(step: int) -> None:
    # What settlement has burned is still supplied.
    supplied = FILE["totalSupplys"][step] - min(0, FILE["netPrints"][step])
    used = interest.utilisation(FILE["totalBorrows"][step], supplied)
    assert used == pytest.approx(FILE["utilizations"][step], rel=1e-15, abs=2)
    assert interest.borrow_rate(CURVE, used) == pytest.approx(FILE["borrowRates"][step], rel=1e-15, abs=2)


@dataclass
class Ledger:
    """Balances of cash, the module's among them; negative ones borrow."""

    balances: dict[str, float] = field(
        default_factory=lambda: dict(zip(NAMES, (each / WAD for each in FILE["StartingBalances"]), strict=True))
    )

    @property
    def borrowed(self) -> float:
        return -sum(each for each in self.balances.values() if each < 0)

    @property
    def supplied(self) -> float:
        return sum(each for each in self.balances.values() if each > 0)

    def accrue(self, growth: float, fee: float) -> None:
        """Borrowers owe interest; the module takes its fee of it, then the suppliers (it too) share the rest."""
        earned = self.borrowed * (growth - 1)
        self.balances["module"] += earned * fee
        share = earned * (1 - fee) / self.supplied
        for name, balance in self.balances.items():
            self.balances[name] = balance * (growth if balance < 0 else 1 + share)


def test_the_sequence() -> None:
    ledger = Ledger()
    assert (ledger.borrowed, ledger.supplied) == (FILE["totalBorrows"][0] / WAD, FILE["totalSupplys"][0] / WAD)
    for step in STEPS[1:]:
        event = FILE["EventsVec"][step]
        seconds = event["key5"] * DAY // WAD
        growth = interest.growth(Wad(FILE["borrowRates"][step - 1]), seconds) / WAD
        ledger.accrue(growth, FILE["SMFeeShare"][step] / WAD)
        amount = event["key4"] / WAD
        ledger.balances[event["key2"]] += amount
        if event["key3"]:
            ledger.balances[event["key3"]] -= amount
        if event["key1"] == "INSOLVENCY":  # the module pays what it has; the rest is printed, and everybody's loss
            payout = auction.split_payout(Money(round(amount * PICO)), Money(round(ledger.balances["module"] * PICO)))
            ledger.balances["module"] -= payout.insured / PICO
            assert payout.socialised * (WAD // PICO) == pytest.approx(FILE["toxicDebts"][step], rel=1e-9, abs=1e9)
        assert ledger.borrowed * WAD == pytest.approx(FILE["totalBorrows"][step], rel=1e-12)
        assert ledger.supplied * WAD == pytest.approx(FILE["totalSupplys"][step], rel=1e-12)
        assert ledger.balances["module"] * WAD == pytest.approx(FILE["SMBalances"][step], rel=1e-12)

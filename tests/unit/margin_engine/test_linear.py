"""Linear accounts by hand: what the arrays give, what goes to the rules, and what is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chains.errors import InputError, LimitError
from node.margin.engine.linear import blocks
from node.margin.engine.linear.accounts import Legs, LinearAccounts
from node.margin.engine.linear.columns import MOST_INSTRUMENTS, Instrument, Instruments, PriceColumns, Ratios, wrapped
from node.margin.engine.linear.composition import CROSS_COLUMNS, LTV_COLUMNS
from node.margin.engine.linear.evaluate import LinearLevels, evaluate
from node.margin.engine.linear.levels import Sums
from node.margin.models.errors import OutOfRange, UnknownAsset, UnsupportedInstrument
from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.models.profiles import BORROW_AND_LIQUIDATION, INITIAL_AND_MAINTENANCE
from tests.property.margin_engine.test_linear import packed

TENTH = Wad(WAD // 10)
NONE = Legs.of([0, 0], [], [], [])


def file(*accounts: dict[str, Any], **market: object) -> dict[str, Any]:
    return {
        "market": {"ETH": {"price": 2_000}, "USDC": {"price": "0.999"}, **market},
        "parameters": {
            "assets": {
                "ETH": {"borrow": 0.8, "liquidation": 0.825, "initial": 0.8, "maintenance": 0.9},
                "USDC": {"borrow": 0.75, "liquidation": 0.78, "initial": 1, "maintenance": 1},
            },
            "perpetuals": {"ETH": {"initial": 0.1, "maintenance": 0.05}},
        },
        "accounts": [{"account": f"n{n}", **account} for n, account in enumerate(accounts)],
    }


def levels(content: dict[str, Any], profile: Any = LTV_COLUMNS) -> LinearLevels:  # noqa: ANN401 - any linear profile
    made = packed(profile, content)
    return evaluate(made.accounts, PriceColumns(made.accounts.instruments, made.market))


ETH = [{"asset": "ETH", "amount": 10}]


def test_a_loan_by_hand() -> None:
    found = levels(
        file(*({"collateral": ETH, "debts": [{"asset": "USDC", "amount": n}]} for n in (16_000, 16_100, 17_000)))
    )
    assert found.equity.tolist() == [[16_000 * PICO] * 3, [16_500 * PICO] * 3]
    assert found.requirement[0].tolist() == [15_984 * PICO, 16_083_900_000_000_000, 16_983 * PICO]
    assert [found.status(code) for code in found.statuses()] == ["healthy", "cannot_borrow", "liquidatable"]
    assert not found.beyond


def test_a_perpetual_by_hand() -> None:
    short = {"asset": "ETH", "amount": -1, "entry_price": 2_100, "funding": -30}
    found = levels(file({"cash": 120, "perpetuals": [short]}, {"cash": -20, "perpetuals": [short]}), CROSS_COLUMNS)
    assert found.equity.tolist() == [[190 * PICO, 70 * PICO]] * 2
    assert found.requirement.tolist() == [[200 * PICO, 220 * PICO], [100 * PICO, 120 * PICO]]
    assert [found.status(code) for code in found.statuses()] == ["margin_call", "liquidatable"]


def test_each_product_is_rounded_against_the_account() -> None:
    tiny = {
        "collateral": [{"asset": "USDC", "amount": "0.000000001"}],
        "debts": [{"asset": "USDC", "amount": "0.000000001"}],
    }
    found = levels(file(tiny, USDC={"price": "0.99999999"}))
    assert found.requirement.tolist() == [[1_000], [1_000]]  # 999.99999
    assert found.equity.tolist() == [[749], [779]]  # 749.25 and 779.22 of 999


def test_what_the_arrays_cannot_hold_is_evaluated_by_the_rules_and_stops_no_other() -> None:
    small = {"collateral": ETH, "debts": [{"asset": "USDC", "amount": 1}]}
    whale = {"collateral": [{"asset": "ETH", "amount": 10**12}], "debts": [{"asset": "USDC", "amount": 10**15}]}
    position = {"asset": "ETH", "amount": 1, "entry_price": "2000.000000001"}
    fine = {"perpetuals": [position]}
    found = levels(file(small, whale, fine, small), CROSS_COLUMNS)
    assert found.beyond.keys() == {1, 2}
    assert found.sums(1, 0) == Sums(Money(16 * 10**14 * PICO), Money(999 * 10**12 * PICO))
    assert found.moved(0)[1] == 2_599 * 10**12 * PICO
    assert found.equity[0, 1] == found.requirement[0, 1] == 2**63 - 1
    assert found.sums(2, 0).equity == -1_000
    assert found.statuses().tolist() == [0, 0, 2, 0]
    assert found.sums(0, 1) == found.sums(3, 1)


def test_amounts_in_wei_are_held_by_the_arrays() -> None:
    wei = {"collateral": [{"asset": "ETH", "amount": "1000.000000000000000001"}],
           "debts": [{"asset": "USDC", "amount": "999.999999999999999999"}]}  # fmt: skip
    made = packed(LTV_COLUMNS, file(wei, {"collateral": ETH}))
    assert made.accounts.exact(0).collateral[0].amount == 1_000 * WAD + 1
    found = evaluate(made.accounts, PriceColumns(made.accounts.instruments, made.market))
    assert not found.beyond
    assert found.equity[0].tolist() == [1_600_000 * PICO, 16_000 * PICO]
    assert found.requirement[0, 0] == 999 * PICO


@pytest.mark.parametrize("sign", [1, -1])
def test_positions_in_wei_are_held_by_the_arrays(sign: int) -> None:
    amount = "10.000000000000000001" if sign > 0 else "-10.000000000000000001"
    found = levels(file({"perpetuals": [{"asset": "ETH", "amount": amount, "entry_price": 1_990}]}), CROSS_COLUMNS)
    assert not found.beyond
    assert found.equity[0, 0] == 100 * PICO if sign > 0 else -100 * PICO - 1
    assert found.requirement[0, 0] == 2_000 * PICO + 1
    assert found.moved(0)[0] >= 22_000 * PICO


def test_entry_prices_with_too_many_digits_are_left_to_the_rules() -> None:
    instruments = Instruments([Instrument("ETH", 18, (TENTH, TENTH), 18)], INITIAL_AND_MAINTENANCE)
    nobody, position = Legs.of([0], [], []), Legs.of([1], [0], [WAD], [WAD // 2])
    found = evaluate(
        LinearAccounts(instruments, nobody, nobody, position), PriceColumns(instruments, {"ETH": Wad(2 * WAD)})
    )
    assert found.beyond.keys() == {0}
    assert (found.equity[0, 0], found.requirement[0, 0]) == (3 * PICO // 2, PICO // 5)


def test_a_price_with_too_many_digits_is_left_to_the_rules() -> None:
    held = {"collateral": ETH}
    found = levels(
        file(
            held,
            {"collateral": [{"asset": "USDC", "amount": 1}]},
            ETH={"price": "2000.000000000000000001", "decimals": 18},
        )
    )
    assert found.beyond.keys() == {0}
    assert found.sums(0, 0).equity == 16_000 * PICO
    assert found.equity[0, 1] == 749_250_000_000


def test_sums_at_the_edge_of_the_range_go_to_the_rules() -> None:
    edge = (1 << 62) - 1  # in 1e-12 USD
    below, above = f"{edge // 10**6 - 1}e-6", f"{edge // 10**6 + 1}e-6"
    content = file(*({"collateral": [{"asset": "USD1", "amount": each}]} for each in (below, above)), USD1={"price": 1})
    found = levels(content | {"parameters": {"assets": {"USD1": {"borrow": 1, "liquidation": 1}}}})
    assert found.beyond.keys() == {1}
    assert [found.sums(row, 0).equity - edge // 10**6 * 10**6 for row in (0, 1)] == [-(10**6), 10**6]


def test_blocks_are_seams_that_nobody_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    several = [
        {"collateral": ETH * (n % 2), "debts": [{"asset": "USDC", "amount": n}], "cash": n - 4} for n in range(9)
    ]
    whole = levels(file(*several))
    monkeypatch.setattr(blocks, "BLOCK_LEGS", 1)
    apart = levels(file(*several))
    assert np.array_equal(whole.equity, apart.equity)
    assert np.array_equal(whole.requirement, apart.requirement)


def test_accounts_that_parameters_or_rules_do_not_cover_are_left_out_by_name() -> None:
    content = file({"collateral": ETH}, {"collateral": [{"asset": "DOGE", "amount": 1}]},
                   {"perpetuals": [{"asset": "ETH", "amount": 1}]}, DOGE={"price": 1})  # fmt: skip
    made = packed(LTV_COLUMNS, content)
    assert made.accounts.names == ["n0"]
    doge, perpetual = made.refused
    assert (type(doge), doge.account, doge.instrument) == (UnknownAsset, "n1", "DOGE")
    assert (type(perpetual), perpetual.account, perpetual.field) == (UnsupportedInstrument, "n2", "perpetuals")
    (unrated,) = packed(CROSS_COLUMNS, file({"perpetuals": [{"asset": "USDC", "amount": 1}]})).refused
    assert (unrated.account, unrated.field) == ("n0", "parameters.perpetuals.USDC.initial")


def test_an_account_without_a_price_is_refused_alone() -> None:
    made = packed(LTV_COLUMNS, file({"collateral": ETH}, {"debts": [{"asset": "USDC", "amount": 1}]}))
    found = evaluate(made.accounts, PriceColumns(made.accounts.instruments, {"USDC": Wad(WAD)}))
    (error,) = found.refused.values()
    assert (type(error), error.account, error.instrument) == (UnknownAsset, "n0", "ETH")
    assert [found.status(code) for code in found.statuses()] == ["refused", "liquidatable"]


def arrays(collateral: Legs, debts: Legs = NONE, perpetuals: Legs = NONE) -> LinearAccounts:
    instruments = Instruments([Instrument("ETH", 9, (TENTH, TENTH), 8)], INITIAL_AND_MAINTENANCE)
    return LinearAccounts(instruments, collateral, debts, perpetuals, ["alice"])


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("collateral.amount", arrays(Legs.of([1], [0], [-1]), Legs.of([0], [], []), Legs.of([0], [], []))),
        ("collateral.amount", arrays(Legs.of([1], [0], [-(2**70)]), Legs.of([0], [], []), Legs.of([0], [], []))),
        ("debts.amount", arrays(Legs.of([0], [], []), Legs.of([1], [0], [-(2**63)]), Legs.of([0], [], []))),
        ("perpetuals.entry_price", arrays(Legs.of([0], [], []), Legs.of([0], [], []), Legs.of([1], [0], [1], [2**62]))),
        ("perpetuals.entry_price", arrays(Legs.of([0], [], []), Legs.of([0], [], []), Legs.of([1], [0], [1], [-1]))),
    ],
)
def test_numbers_that_are_out_of_range_refuse_their_account_by_name(kind: str, made: LinearAccounts) -> None:
    found = evaluate(made, PriceColumns(made.instruments, {"ETH": Wad(WAD)}))
    error = found.refused[0]
    assert (type(error), error.account, error.instrument, error.field) == (OutOfRange, "alice", "ETH", kind)
    assert found.status(found.statuses()[0]) == "refused"


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    one, nobody = Legs.of([1], [0], [1]), Legs.of([0], [], [])
    with pytest.raises(InputError):
        arrays(one, Legs.of([0, 0], [], []), nobody)
    with pytest.raises(InputError):
        arrays(Legs.of([1], [1], [1]), nobody, nobody)
    with pytest.raises(InputError):
        arrays(nobody, nobody, one)
    with pytest.raises(InputError):
        Instruments([Instrument("ETH", 9, (TENTH, Wad(WAD + 1)))], BORROW_AND_LIQUIDATION)
    with pytest.raises(InputError):
        Instruments([Instrument("ETH", 9, (TENTH,))], BORROW_AND_LIQUIDATION)
    with pytest.raises(LimitError):
        Instruments([Instrument("ETH", 9)] * (MOST_INSTRUMENTS + 1), BORROW_AND_LIQUIDATION)


def test_ratios_take_the_divisors_that_fit() -> None:
    ratios = Ratios.of([(1, 8), (2, 6), (1, 10**15 + 37), (7, 1)], 100)
    assert ratios.divisor == 24
    assert ratios.multiplier.tolist() == [3, 8, 0, 168]
    assert ratios.exact_only.tolist() == [False, False, True, False]
    ratios.put(0, 1, 5, 100)
    assert ratios.exact_only.tolist() == [True, False, True, False]
    ratios.put(0, 5, 48, 100)
    assert (ratios.divisor, ratios.multiplier.tolist()) == (48, [5, 16, 0, 336])
    assert ratios.exact_only.tolist() == [False, False, True, False]
    assert [wrapped(number) for number in (2**63, -(2**63) - 1, 5 - 2**64)] == [-(2**63), 2**63 - 1, 5]

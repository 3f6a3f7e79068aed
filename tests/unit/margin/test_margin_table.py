"""A policy may say that accounts are judged by a profile: its parameters, its indices, its series."""

from __future__ import annotations

import pytest

from chains.errors import ConfigError
from chains.types import UnixSeconds
from node.margin.contracts import Contract
from node.margin.models.fields import Fields
from node.margin.models.fixed import WAD, Wad
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.parameters import read_parameters
from node.margin.models.profile import merged
from node.margin.policy import Policy
from tests import kit

BODY = kit.hypothec_policy().body.decode()
DECEMBER = UnixSeconds(1_798_185_600)
"""2026-12-25 08:00 UTC."""


def with_margin(table: str) -> Policy:
    return Policy.parse(
        BODY.replace('[margin]\nprofile = "hypothec"\n', f'[margin]\nprofile = "hypothec"\n{table}\n').encode()
    )


def refused(body: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        Policy.parse(body.encode())
    return str(refusal.value)


def test_a_profile_is_read_with_what_differs_from_its_parameters() -> None:
    text = '[margin.parameters]\nmaintenance = 0.7\ncharges = { linear = "0.01" }\n'
    text += "[margin.parameters.assets.ETH]\nvol = 0.9"
    own = {"maintenance": 0.7, "charges": {"linear": "0.01"}, "assets": {"ETH": {"vol": 0.9}}}
    margin = with_margin(text).margin
    assert margin is not None
    assert margin.parameters == read_parameters(Fields(merged(DEFAULTS, own), ""))
    assert margin.parameters.maintenance == 7 * WAD // 10


def test_how_old_prices_may_be_is_said_by_the_policy_for_every_kind_of_rules() -> None:
    rules = with_margin("").parameters.feeds
    assert (rules.stale_after, rules.write_off_after) == (31, 86_400)
    assert (rules.bound_base, rules.bound_per_hour, rules.bound_cap) == (WAD // 20, WAD // 10, WAD // 2)


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ("parameters = 1", "margin.parameters"),
        ("[margin.parameters]\nmaintenence = 0.7", "maintenence"),
        ("[margin.parameters]\nmaintenance = 1.5", "maintenance"),
        ("[margin.parameters]\nmaintenance = inf", "maintenance"),
        ("[margin.parameters]\nmaintenance = 2026-01-01", "maintenance"),
        ("[margin.parameters]\nfeeds = { stale_after = 1 }", "feeds"),
        ("[margin.parameters.charges]\nlinaer = 0.01", "linaer"),
        ("[margin.parameters.assets.ETH]\nwol = 0.9", "wol"),
        ("[margin.parameters.shortfall]\nhorizon = 1.5", "horizon"),
        ("[[margin.parameters.rows]]\nmarkt = -0.5", "markt"),
        ("surprise = 1", "margin.surprise"),
    ],
)
def test_what_is_wrong_with_parameters_is_named(table: str, place: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        with_margin(table)
    assert place in str(refusal.value)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('profile = "hypothec"', 'profile = "span"', "margin.profile"),
        ('id = "ETH"\nvol', 'id = "ETH"\ninitial_haircut_bps = 1\nvol', "initial_haircut_bps"),
        ('kind = "perpetual"', 'kind = "perpetual"\ninitial_bps = 1000', "initial_bps"),
        ('volatility = "ETH-VOL"', 'volatility = "BTC-VOL"', "BTC-VOL"),
        ('volatility = "ETH-VOL"', 'volatility = "ETH"', "ETH"),
        ('id = "ETH-VOL"', 'id = "ETH"', "twice"),
        ('underlying = "ETH"', 'underlying = "ETH-VOL"', "ETH-VOL"),
    ],
)
def test_what_is_wrong_with_a_policy_of_a_profile_is_named(old: str, new: str, place: str) -> None:
    assert old in BODY
    assert place in refused(BODY.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("ETH-PERP", Contract("ETH")),
        ("ETH-25DEC26", Contract("ETH", DECEMBER)),
        ("ETH-25DEC26-3000-C", Contract("ETH", DECEMBER, Wad(3000 * WAD), is_call=True)),
        ("ETH-25DEC26-3000-P", Contract("ETH", DECEMBER, Wad(3000 * WAD))),
        ("ETH-25DEC26-0d55-P", Contract("ETH", DECEMBER, Wad(55 * WAD // 100))),
        ("ETH-25DEC26-2.000000000000000001-C", Contract("ETH", DECEMBER, Wad(2 * WAD + 1), is_call=True)),
        ("ETH-29FEB28", Contract("ETH", UnixSeconds(DECEMBER + 431 * 86_400))),
    ],
)
def test_the_contracts_of_a_series_are_read_from_their_names(name: str, contract: Contract) -> None:
    assert kit.hypothec_policy().contract(name) == contract


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ETH",
        "BTC-25DEC26",
        "ETH-25dec26",
        "ETH-05DEC26",
        "ETH-0DEC26",
        "ETH-32DEC26",
        "ETH-29FEB26",
        "ETH-25DEC2026",
        "ETH-25DEC26-",
        "ETH-25DEC26-3000",
        "ETH-25DEC26-3000-X",
        "ETH-25DEC26-0-C",
        "ETH-25DEC26-03000-C",
        "ETH-25DEC26-3000.0-C",
        "ETH-25DEC26-3000d50-C",
        "ETH-25DEC26-.5-C",
        "ETH-25DEC26-3e3-C",
        "ETH-25DEC26-+3000-C",
        "ETH-25DEC26-1000000000000000-C",
        "ETH-25DEC26-0.0000000000000000001-C",
        "ETH-25DEC26-3000-C\n",
        "ETH-२५DEC26",
        "ETH-25DEC26-3000-C" + "C" * 60,
    ],
)
def test_a_name_that_is_written_otherwise_is_none(name: str) -> None:
    assert kit.hypothec_policy().contract(name) is None


def test_series_of_futures_and_of_options_may_have_one_name_and_two_of_a_kind_may_not() -> None:
    series = '[[instruments]]\nid = "ETH"\nkind = "option"\nunderlying = "ETH"\n'
    assert series in BODY
    assert "twice" in refused(BODY.replace(series, series * 2))
    without = Policy.parse(BODY.replace(series, "").encode())
    assert without.contract("ETH-25DEC26") is not None
    assert without.contract("ETH-25DEC26-3000-C") is None

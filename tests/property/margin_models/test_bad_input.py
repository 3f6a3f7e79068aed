"""Valid files, changed where it hurts: nothing but PortfolioError escapes, and one bad account stops no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models.errors import PortfolioError
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import PROFILES, evaluate_file
from tests.property.margin_models.files import FILES

LIGHT = settings(max_examples=20, deadline=None)
HEAVY = settings(max_examples=150, deadline=None)
Path: TypeAlias = tuple[str | int, ...]
Outcome: TypeAlias = Evaluation | PortfolioError

EDGES: list[Any] = [
    0, 1, -1, -0.0, 1e15, -1e15, 10**15 + 1, 2**53, 2**63, 2**64 - 1, -(2**63), 2**255, 10**400, 10**4_000,
    1e308, -1e308, 5e-324, 1e-18, 1e-19, float("nan"), float("inf"), float("-inf"),
    "NaN", "sNaN", "-Infinity", "1e999999999", "1e-999999999", "0e999999999", "1e99999999999999999999", "9" * 99,
    "0." + "0" * 90 + "1", "-0", "1e-18", "1_000", " 1 ", "٣", "0x10", "", "x", "x" * 10_000, "\ud800", "ETH", "BTC",
    None, True, False, [], {}, [[]], [None], {"": None}, [{}], [1, 2, 3, 4, 5, 6, 7], [float("nan")] * 7,
]  # fmt: skip
edges = st.sampled_from(EDGES).map(deepcopy)
"""One's own copy: what an example changed of a list above, the next would draw from."""


def places(content: Any, path: Path = ()) -> Iterator[Path]:  # noqa: ANN401 - any JSON
    """The path of everything within a document, and of itself."""
    yield path
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def at(content: Any, path: Path) -> Any:  # noqa: ANN401 - any JSON
    for key in path:
        content = content[key]
    return content


@st.composite
def changed(draw: st.DrawFn, content: dict[str, Any], within: Path = ()) -> dict[str, Any]:
    """A copy in which up to three things are replaced, removed, doubled, added, renamed or exchanged."""
    found: dict[str, Any] = deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        paths = [(*within, *path) for path in places(at(found, within)) if path]
        if not paths:
            return found
        path = draw(st.sampled_from(paths))
        holder, key = at(found, path[:-1]), path[-1]
        match draw(st.sampled_from(["edge", "edge", "edge", "edge", "remove", "double", "add", "rename", "exchange"])):
            case "edge":
                holder[key] = draw(edges)
            case "remove":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.append(deepcopy(at(holder, (key,))))
            case "add" if isinstance(holder, dict):
                holder["surprise"] = draw(edges)
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(["surprise", "ETH", "amount", ""]))] = holder.pop(key)
            case _:
                other = draw(st.sampled_from(paths))
                if other[: len(path)] == path or path[: len(other)] == other:
                    continue
                above = at(found, other[:-1])
                holder[key], above[other[-1]] = above[other[-1]], holder[key]
    return found


def evaluated(profile: str, content: object) -> list[Outcome]:
    """What becomes of a file; of one that as a whole cannot be read, its error."""
    try:
        outcomes = list(evaluate_file(PROFILES[profile], content, "file"))
    except PortfolioError as error:
        return [error]
    for each in outcomes:
        assert str(each)
        if isinstance(each, PortfolioError):
            assert len(str(each)) < 2_000
            continue
        assert each.account
        assert each.status
        assert all(type(line.amount) is int for level in each.levels for line in level.lines)
        assert all(level.excess == level.equity - level.requirement for level in each.levels)
        json.dumps(dict(each.components), allow_nan=False)
    return outcomes


@settings(max_examples=200)
@given(changed({"within": {}}))
def test_what_is_changed_is_no_other_examples(content: dict[str, Any]) -> None:
    found = {id(at(content, path)) for path in places(content)}
    assert not [each for each in EDGES if isinstance(each, list | dict) and id(each) in found]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_files_are_valid(profile: str) -> None:
    outcomes = evaluated(profile, FILES[profile])
    assert all(isinstance(each, Evaluation) for each in outcomes), outcomes
    assert any(level.requirement for each in outcomes if isinstance(each, Evaluation) for level in each.levels)


def check(profile: str, data: st.DataObject) -> None:
    evaluated(profile, data.draw(changed(FILES[profile])))


@pytest.mark.parametrize("profile", PROFILES)
@LIGHT
@given(data=st.data())
def test_nothing_else_escapes(profile: str, data: st.DataObject) -> None:
    check(profile, data)


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@HEAVY
@given(data=st.data())
def test_nothing_else_escapes_at_length(profile: str, data: st.DataObject) -> None:
    check(profile, data)


SHARED = sorted(profile for profile, content in FILES.items() if "accounts" in content)


@pytest.mark.parametrize("profile", SHARED)
@settings(LIGHT, max_examples=12)
@given(data=st.data())
def test_what_is_wrong_with_one_account_or_feed_stops_no_other(profile: str, data: st.DataObject) -> None:
    """Bob holds neither ETH nor WSTETH."""
    parts: list[Path] = [("accounts", 0), ("market", "ETH"), ("market", "WSTETH")]
    within = data.draw(st.sampled_from(parts))
    whole = data.draw(changed(FILES[profile], within))
    bob = evaluated(profile, FILES[profile])[1]
    outcomes = evaluated(profile, whole)
    assert len(outcomes) == 2
    assert outcomes[1] == bob
    assert outcomes[0].account


@pytest.mark.parametrize("profile", SHARED)
def test_what_has_no_amount_reads_no_feed(profile: str) -> None:
    content = deepcopy(FILES[profile])
    alice = content["accounts"][0]
    for section in ("collateral", "debts", "perpetuals", "futures", "options"):
        for row in alice.get(section, []):
            row["amount"] = 0
    content["market"] = {"ETH": {"price": "NaN", "expiries": 7}, "WSTETH": 5}
    (outcome, _) = evaluated(profile, content)
    assert isinstance(outcome, Evaluation)
    assert outcome.levels[0].excess == 500 * 10**12

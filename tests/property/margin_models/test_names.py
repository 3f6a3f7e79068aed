"""Names in files: what any profile reads is declared and fine under each, and a misspelt one is refused everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from node.margin.models import derive_sm, grids
from node.margin.models.errors import PortfolioError, UnknownName
from node.margin.models.fields import EVERY, Fields, Names
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.scenarios import ROW_NAMES
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import ACCOUNT, PARAMETERS, PROFILES, QUOTE, evaluate_file
from node.margin.planning import proposals, terms
from node.margin.planning.files import answers, plans, terms_of
from tests.property.margin_models.files import FILES
from tests.property.margin_models.hypothec.books import accounts, markets
from tests.property.margin_models.test_bad_input import SHARED, Path, at
from tests.property.margin_planning.test_bad_input import ASKED, TERMS
from tests.unit.margin_models.hypothec.test_profile import example

FILE: Names = {
    **ACCOUNT,
    "market": {EVERY: QUOTE},
    "parameters": PARAMETERS,
    "accounts": [ACCOUNT],
    "plan": terms.NAMES,
    "what_if": [proposals.NAMES],
}


def objects(content: object, names: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any], Names]]:  # noqa: ANN401
    """Each object of a document, where it is, and the names that are declared for it."""
    if isinstance(content, list) and isinstance(names, list):
        for place, item in enumerate(content):
            yield from objects(item, names[0], (*path, place))
    elif isinstance(content, dict) and isinstance(names, Mapping):
        yield path, content, names
        for key, each in content.items():
            yield from objects(each, names.get(key, names.get(EVERY)), (*path, key))


# === What is read is declared ===


def _every_name(names: Any) -> set[str]:  # noqa: ANN401 - any part of Names
    if isinstance(names, list):
        return _every_name(names[0])
    return set(names or ()) | {name for below in (names or {}).values() for name in _every_name(below)}


def _copied(fields: Fields, content: Mapping[str, Any]) -> Names:
    """The names of an object that a reader has made: it still says where it was."""
    if not fields.instrument:
        is_market = content["market"].keys() <= fields.content.keys()
        return {EVERY: QUOTE} if is_market else {**FILE, **PARAMETERS, **ROW_NAMES}
    first, *rest = fields.instrument.split(".")
    names: Any = QUOTE if first in content["market"] else PARAMETERS.get(first)
    for each in rest:
        names = names.get(each, names.get(EVERY)) if isinstance(names, Mapping) else None
    return names if isinstance(names, Mapping) else dict.fromkeys(_every_name(FILE))


class Asked:
    """Which names that are not declared the readers of a file ask for, with what they ask them of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any], *, copies: bool = True) -> None:
        self.undeclared: set[tuple[str, str]] = set()
        self.count = 0
        self._kept = [{"parameters": each} for each in (DEFAULTS, grids.DERIBIT, {"options": derive_sm.OPTION_RULES})]
        declared = {id(each): names for file in (content, *self._kept) for _, each, names in objects(file, FILE)}
        has = Fields.has

        def recorded(fields: Fields, name: str) -> bool:
            names = declared.get(id(fields.content), _copied(fields, content) if copies else None)
            if names is not None:
                self.count += 1
                if name not in names and EVERY not in names:
                    self.undeclared.add((fields.instrument, name))
            return has(fields, name)

        monkeypatch.setattr(Fields, "has", recorded)


@pytest.mark.parametrize("profile", SHARED)
def test_what_a_profile_reads_is_declared(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = deepcopy(FILES[profile])
    with monkeypatch.context() as patched:
        asked = Asked(patched, content)
        outcomes = list(evaluate_file(PROFILES[profile], content, "file", stress=profile == "hypothec"))
    assert all(isinstance(each, Evaluation) for each in outcomes)
    assert asked.count > 20
    assert not asked.undeclared


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(markets(), accounts(), accounts())
def test_what_hypothec_reads_is_declared(
    monkeypatch: pytest.MonkeyPatch, market: dict[str, Any], account: dict[str, Any], alone: dict[str, Any]
) -> None:
    content = {"market": market, **account, "isolated": [{"name": "punt", **alone}]}
    with monkeypatch.context() as patched:
        asked = Asked(patched, content)
        list(evaluate_file(PROFILES["hypothec"], content, "file"))
    assert not asked.undeclared


@pytest.mark.parametrize("curve", [TERMS["auction"], {"curve": "derive", "start": 0.9, "cutoff": 0.5, "fast": 60}])
def test_what_terms_read_is_declared(curve: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"market": {}, "plan": deepcopy({**TERMS, "auction": curve})}
    with monkeypatch.context() as patched:
        asked = Asked(patched, content, copies=False)
        terms_of(content)
    assert asked.count > 20
    assert not asked.undeclared


@pytest.mark.parametrize("proposal", ASKED)
def test_what_proposals_read_is_declared(proposal: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    content = {**FILES["hypothec"], "what_if": [dict(proposal)], "accounts": [{"account": "alice"}]}
    with monkeypatch.context() as patched:
        asked = Asked(patched, {"what_if": content["what_if"]}, copies=False)
        assert not [each for each in answers(PROFILES["hypothec"], content, "file") if isinstance(each, Exception)]
    assert asked.count > 4
    assert not asked.undeclared


# === What is misspelt is refused ===


def misspelt(content: dict[str, Any], within: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Where a field of an object within a part of a file is, and the file with that field's name misspelt."""
    for path, each, names in objects(content, FILE):
        if path[: len(within)] != within:
            continue
        for key in each:
            if key in names and EVERY not in names:
                found = deepcopy(content)
                holder = at(found, path)
                holder[f"{key}x"] = holder.pop(key)
                yield (*path, key), found


def refused(outcome: object, path: Path, account: str) -> bool:
    """Whether it is the error of the field that was misspelt, with its right name."""
    if not isinstance(outcome, UnknownName):
        return False
    key = path[-1]
    assert (outcome.account, outcome.field, outcome.values["nearest"]) == (account, f"{key}x", key)
    named = [part for part in path[2:-1] if isinstance(part, str)]
    assert all(part in outcome.instrument for part in named)
    return True


def outcomes_of(profile: str, content: object) -> list[Evaluation | PortfolioError]:
    return list(evaluate_file(PROFILES[profile], content, "file"))


@pytest.mark.parametrize("profile", SHARED)
def test_a_misspelt_parameter_stops_every_account(profile: str) -> None:
    given = {"paradex-like": grids.PARADEX, "hypothec": DEFAULTS}.get(profile, FILES[profile]["parameters"])
    content = {**FILES[profile], "parameters": given}
    tried = list(misspelt(content, ("parameters",)))
    seen: set[object] = set()
    for path, changed in tried:
        if path[1] == "rows" and path[-1] in seen:
            continue
        seen.add(path[-1])
        alice, bob = outcomes_of(profile, changed)
        assert refused(alice, path, "alice"), path
        assert refused(bob, path, "bob"), path
    assert tried


def rich() -> dict[str, Any]:
    """An account with everything in it, and one that stands beside it."""
    (alice,) = example()["accounts"]
    alice["debts"] = [{"asset": "USDC", "amount": 100, "index": 1, "chain": "a", "venue": "b"}]
    alice["collateral"][0] |= {"finality": "FINAL", "chain": "LIVE"}
    alice["futures"] = [{"asset": "BTC", "seconds": 2_592_000, "amount": 1, "entry_price": 60_000, "venue": "dex"}]
    market = example()["market"]
    market["USDC"]["borrow_index"] = 1
    bob = {"account": "bob", "cash": 5, "collateral": [{"asset": "FTT", "amount": 1}]}
    return {**example(), "market": market, "accounts": [alice, bob]}


def test_a_misspelt_field_of_an_account_stops_no_other() -> None:
    alice, bob = outcomes_of("hypothec", rich())
    assert isinstance(alice, Evaluation)
    tried = [each for each in misspelt(rich(), ("accounts", 0)) if each[0][-1] != "account"]
    for path, changed in tried:
        first, second = outcomes_of("hypothec", changed)
        assert refused(first, path, "alice"), path
        assert second == bob
    sections = {path[2] for path, _ in tried}
    assert sections >= {"collateral", "debts", "perpetuals", "futures", "options", "venues", "isolated"}


@pytest.mark.parametrize(("profile", "content"), [("hypothec", rich()), ("deribit-like", FILES["deribit-like"])])
def test_a_misspelt_quote_stops_only_who_needs_it(profile: str, content: dict[str, Any]) -> None:
    """Bob holds neither ETH nor WSTETH; who holds what redeems for another needs both."""
    _, bob = outcomes_of(profile, content)
    needed = {"hypothec": {"FTT"}, "deribit-like": {"BTC", "USDC"}}[profile]
    tried = list(misspelt(content, ("market",)))
    for path, changed in tried:
        first, second = outcomes_of(profile, changed)
        assert refused(first, path, "alice"), path
        assert refused(second, path, "bob") if path[1] in needed else second == bob, path
    places = {path[2] for path, _ in tried}
    assert places >= {"price", "redemption", "expiries"}


def test_misspelt_terms_are_refused() -> None:
    for path, changed in misspelt({**FILES["cross"], "plan": TERMS}, ("plan",)):
        with pytest.raises(UnknownName) as caught:
            list(plans(PROFILES["cross"], changed, "file"))
        assert refused(caught.value, path, ""), path


@pytest.mark.parametrize("proposal", ASKED)
def test_misspelt_proposals_are_refused(proposal: dict[str, Any]) -> None:
    content = {**FILES["hypothec"], "what_if": [proposal]}
    for path, changed in misspelt(content, ("what_if",)):
        alice, bob = answers(PROFILES["hypothec"], changed, "file")
        assert refused(alice, path, "alice"), path
        assert refused(bob, path, "bob"), path


@pytest.mark.parametrize(("within", "count"), [(("accounts", 0, "debts", 0), 1), (("parameters",), 2)])
def test_a_plan_and_an_answer_read_no_misspelt_file(within: Path, count: int) -> None:
    path, changed = next(misspelt({**FILES["cross"], "what_if": ASKED[:1]}, within))
    planned = [each.found for each in plans(PROFILES["cross"], changed, "file")]
    assert sum(isinstance(each, UnknownName) for each in planned) == count, path
    assert sum(isinstance(each, UnknownName) for each in answers(PROFILES["cross"], changed, "file")) == count, path


def test_a_plan_reads_no_misspelt_quote() -> None:
    path, changed = next(misspelt(FILES["cross"], ("market", "ETH")))
    alice, bob = (each.found for each in plans(PROFILES["cross"], changed, "file"))
    assert refused(alice, path, "alice")
    assert not isinstance(bob, Exception)


def test_a_misspelt_section_is_refused() -> None:
    content = {**FILES["cross"], "paramters": {}}
    assert [each.values["nearest"] for each in outcomes_of("cross", content) if isinstance(each, UnknownName)] == [
        "parameters"
    ] * 2
    alone = {"cash": 5, "colateral": []}
    (error,) = outcomes_of("cross", alone)
    assert isinstance(error, UnknownName)
    assert error.values == {"account": "file", "field": "colateral", "nearest": "collateral"}


# === What another profile reads, and what is derived, is fine ===


@pytest.mark.parametrize("profile", ["cross", "deribit-like", "hypothec"])
def test_what_any_other_profile_reads_is_fine(profile: str) -> None:
    content = deepcopy(FILES[profile])
    before = outcomes_of(profile, content)
    content["parameters"] |= {name: {} for name in PARAMETERS if name not in content["parameters"] | DEFAULTS}
    content["market"]["ETH"] |= {"status": "FRESH", "age": 0, "vol_spread": 0}
    content["accounts"][0]["collateral"][0] |= {"assurance": "PROVEN", "finality": "FINAL", "chain": "LIVE"}
    content["plan"] = {"nothing": "reads it here"}
    if profile == "deribit-like":
        content["parameters"].pop("stables")
    after = outcomes_of(profile, content)
    assert [getattr(each, "levels", each) for each in after] == [getattr(each, "levels", each) for each in before]


@pytest.mark.parametrize("profile", ["derive-pm1", "derive-pm2"])
def test_files_of_other_formats_may_have_derived_figures(profile: str) -> None:
    (before,) = outcomes_of(profile, FILES[profile])
    content = deepcopy(FILES[profile])
    content["Derived"], content["Scenario"]["Derived"] = {}, 1
    (after,) = outcomes_of(profile, content)
    assert isinstance(after, Evaluation)
    assert isinstance(before, Evaluation)
    assert after.levels == before.levels

"""Token buckets: what is saved up, what a refusal says, and that nobody is remembered for ever."""

from __future__ import annotations

import pytest

from node.rpc.errors import QuotaExceeded, TooManyCalls
from node.rpc.quota import QuotaLimits, Quotas

LIMITS = QuotaLimits(records_per_s=10, burst=50, open_calls=2)


def test_a_caller_may_ask_for_what_it_saved_up_and_no_more() -> None:
    quotas = Quotas(LIMITS)
    quotas.spend("a", 30, now=0)
    quotas.spend("a", 20, now=0)
    with pytest.raises(QuotaExceeded) as caught:
        quotas.spend("a", 5, now=0.1)
    assert caught.value.values == {"caller": "a", "records": 5, "retry_after_ms": 401}
    quotas.spend("a", 5, now=0.501)
    with pytest.raises(QuotaExceeded):
        quotas.spend("a", 51, now=10_000)
    quotas.spend("a", 50, now=10_000)


def test_a_refused_call_costs_nothing() -> None:
    quotas = Quotas(LIMITS)
    with pytest.raises(QuotaExceeded):
        quotas.spend("a", 51, now=0)
    quotas.spend("a", 50, now=0)


def test_callers_have_buckets_of_their_own() -> None:
    quotas = Quotas(LIMITS)
    quotas.spend("a", 50, now=0)
    quotas.spend("b", 50, now=0)


def test_open_calls_are_bounded() -> None:
    quotas = Quotas(LIMITS)
    quotas.enter("a", 0)
    quotas.enter("a", 0)
    with pytest.raises(TooManyCalls):
        quotas.enter("a", 0)
    quotas.enter("b", 0)
    quotas.leave("a")
    quotas.enter("a", 0)
    with pytest.raises(TooManyCalls):
        quotas.enter("a", 0)


def test_the_number_of_callers_is_bounded_and_those_with_open_calls_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.quota._MAX_CALLERS", 3)
    quotas = Quotas(LIMITS)
    quotas.enter("busy", 0)
    for number in range(10):
        quotas.spend(f"caller {number}", 1, now=number)
    assert list(quotas._callers) == ["busy", "caller 8", "caller 9"]

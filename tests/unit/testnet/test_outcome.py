from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from node.testnet.outcome import Outcome, Percentiles, Seizure


def test_percentiles_are_by_nearest_rank() -> None:
    assert Percentiles.of(range(1, 101)) == Percentiles(50, 99, 100)
    assert Percentiles.of([3.14159]) == Percentiles(3.1, 3.1, 1)
    assert Percentiles.of([]) is None


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_the_p99_is_not_below_99_of_100(durations: list[int]) -> None:
    found = Percentiles.of(durations)
    assert found is not None
    assert sum(duration <= found.p99 for duration in durations) >= math.ceil(0.99 * len(durations))
    assert found.p50 <= found.p99
    assert found.p99 in durations


def test_the_outcome_is_one_object_on_one_line() -> None:
    seizure = Seizure(31_001, "0xab", {"vault ETH": "10"}, {"vault ETH": "1.5"})
    outcome = Outcome(
        4,
        2,
        "0x12",
        Percentiles(20.5, 40.25, 100),
        2,
        ("HEALTHY",),
        True,
        38,
        (seizure,),
        "43,584.00",
        {"secured": 5.4},
    )
    text = outcome.as_json(27.5)
    assert "\n" not in text
    found = json.loads(text)
    assert found["nodes"] == 4
    assert found["chains"] == 2
    assert found["round_ms"] == {"p50": 20.5, "p99": 40.25}
    assert found["deposit_to_state_rounds"] == 2
    assert found["liquidation"]["attested"] is True
    assert [(item["chain_id"], item["tx"]) for item in found["liquidation"]["seizures"]] == [(31_001, "0xab")]
    assert found["seconds"] == {"secured": 5.4, "total": 27.5}

"""How the operator is told of endpoints."""

from __future__ import annotations

from chains.types import Disagreement, EndpointStanding, Hash32, Height, UnixSeconds
from node.status import EndpointRecord, describe_disagreement, describe_endpoint


def test_an_endpoint_is_told_with_its_own_height_and_what_it_did() -> None:
    standing = EndpointStanding("a", False, 0.0125, Height(90), 0, 2, 1, 28.5, "TIMEOUT")
    told = describe_endpoint(standing, EndpointRecord(faults=4, reason="DISAGREES"))
    assert (told.name, told.trusted, told.height, told.latency_us) == ("a", False, 90, 12_500)
    assert (told.failures, told.lies, told.aside_ms) == (2, 1, 28_500)
    assert (told.faults, told.reason) == (4, "DISAGREES")
    assert told.HasField("lag_blocks"), "no lag is not the same as an unknown one"
    assert told.lag_blocks == 0


def test_an_endpoint_that_was_not_heard_of_has_no_height_and_no_lag() -> None:
    told = describe_endpoint(EndpointStanding("a", True, 0.0, None, None, 0, 0, 0.0, ""), EndpointRecord())
    assert told.height == 0
    assert not told.HasField("lag_blocks")


def test_a_disagreement_is_told_endpoint_by_endpoint() -> None:
    one, two = Hash32(b"1" * 32), Hash32(b"2" * 32)
    told = describe_disagreement(Disagreement(Height(9), (("a", one), ("b", two)), None, UnixSeconds(5)))
    assert [(each.endpoint, each.block_hash) for each in told.said] == [("a", one), ("b", two)]
    assert (told.height, told.agreed, told.found_at_ms) == (9, b"", 5_000)
    assert describe_disagreement(Disagreement(Height(9), (), two, UnixSeconds(5))).agreed == two

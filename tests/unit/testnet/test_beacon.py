"""The simulated committees sign as real ones would: an independent library says so."""

from __future__ import annotations

import milagro_bls_binding as milagro
import pytest

from node.testnet.beacon.chain import KnownCommittees, digest

SIZE = 8
ROOT = digest("root")


@pytest.mark.parametrize("members", [range(SIZE), range(3, SIZE), [5]])
def test_a_signature_is_that_of_its_members(members: range | list[int]) -> None:
    committees = KnownCommittees(SIZE)
    keys = committees.committee(3).pubkeys
    signature = committees.sign(3, members, ROOT)
    assert milagro.FastAggregateVerify([keys[member] for member in members], ROOT, signature)
    assert not milagro.FastAggregateVerify([keys[member] for member in members], digest("other"), signature)


def test_the_aggregate_key_is_the_sum_of_all() -> None:
    served = KnownCommittees(SIZE).committee(0)
    assert served.aggregate_pubkey == milagro._AggregatePKs(list(served.pubkeys))
    assert len(set(served.pubkeys)) == SIZE


def test_each_period_and_each_seed_has_its_own_members() -> None:
    one, other = KnownCommittees(SIZE), KnownCommittees(SIZE, "strangers")
    keys = [*one.committee(0).pubkeys, *one.committee(1).pubkeys, *other.committee(0).pubkeys]
    assert len(set(keys)) == 3 * SIZE

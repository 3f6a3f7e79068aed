"""A run of states, and one in which an account has a leveraged position."""

from __future__ import annotations

import pytest

from tests import kit
from tests.kit import ETHER, Owner, Venue
from tests.unit.outcome.chain import Chain, Leveraged


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def leveraged(chain: Chain) -> Leveraged:
    """Ten ether on each chain at 2000, and a perpetual long of 100 ether entered at 2000."""
    owner, venue = Owner(), Venue()
    chain.world.submit(owner.link())
    chain.round()
    chain.world.submit(owner.authorize(limit_usd=100_000))
    chain.round()
    chain.settle(1, {owner.account: 10 * ETHER})
    chain.world.publish(venue.report(kit.entry(owner.account, 100 * ETHER, 2000)))
    chain.round()
    return chain, owner, venue

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak
from web3.contract import Contract

from tests.integration.contracts.digests import word
from tests.integration.contracts.harness import events, refused
from tests.integration.contracts.world import World


@pytest.fixture
def feed(world: World) -> Contract:
    return world.chain.deploy("PriceFeed", "ETH / USD", 8, world.owner)


def post(world: World, feed: Contract, answer: int, updated_at: int) -> None:
    world.chain.send(feed.functions.post(answer, updated_at), sender=world.owner)


def test_it_speaks_chainlinks_interface(world: World, feed: Contract) -> None:
    assert feed.functions.description().call() == "ETH / USD"
    assert (feed.functions.decimals().call(), feed.functions.version().call()) == (8, 1)
    now = world.chain.now()
    post(world, feed, 3000_00000000, now - 9)
    post(world, feed, 2900_00000000, now)
    assert feed.functions.latestRoundData().call() == [2, 2900_00000000, now, now, 2]
    assert feed.functions.getRoundData(1).call() == [1, 3000_00000000, now - 9, now - 9, 1]
    assert feed.functions.getRoundData(2).call() == feed.functions.latestRoundData().call()


def test_a_post_is_told_as_chainlinks_aggregators_tell_it(world: World, feed: Contract) -> None:
    now = world.chain.now()
    receipt = world.chain.send(feed.functions.post(5, now), sender=world.owner)
    (told,) = events(feed.events.AnswerUpdated(), receipt)
    assert dict(told["args"]) == {"current": 5, "roundId": 1, "updatedAt": now}


def test_a_quote_is_one_slot(world: World, feed: Contract) -> None:
    now = world.chain.now()
    post(world, feed, 2**127 - 1, now - 5)
    post(world, feed, 3000, now)
    assert world.chain.storage(feed, 0) == 3000 | now << 128 | 2 << 192
    first = int.from_bytes(keccak(word(1) + word(1)), "big")
    assert world.chain.storage(feed, first) == 2**127 - 1 | (now - 5) << 128 | 1 << 192


def test_only_the_updater_posts(world: World, feed: Contract) -> None:
    with refused(feed, "NotUpdater", sender=world.stranger.lower(), updater=world.owner.lower()):
        feed.functions.post(1, world.chain.now()).call({"from": world.stranger})


@pytest.mark.parametrize("answer", [0, -1, -(2**127)])
def test_a_price_is_positive(world: World, feed: Contract, answer: int) -> None:
    with refused(feed, "NotPositive", answer=answer):
        feed.functions.post(answer, world.chain.now()).call({"from": world.owner})


def test_time_does_not_go_back(world: World, feed: Contract) -> None:
    now = world.chain.now()
    post(world, feed, 10, now)
    with refused(feed, "TimeGoesBack", given=now - 1, last=now):
        feed.functions.post(11, now - 1).call({"from": world.owner})
    post(world, feed, 11, now)


def test_time_is_not_ahead(world: World, feed: Contract) -> None:
    ahead = world.chain.now() + 1000
    with refused(feed, "TimeInFuture", given=ahead):
        feed.functions.post(11, ahead).call({"from": world.owner})
    world.chain.at_time(ahead)
    post(world, feed, 11, ahead)


@pytest.mark.parametrize("round_id", [0, 2, 2**64 + 1, 2**80 - 1])
def test_there_is_no_such_round(world: World, feed: Contract, round_id: int) -> None:
    with refused(feed, "NoRound"):
        feed.functions.latestRoundData().call()
    post(world, feed, 10, world.chain.now())
    with refused(feed, "NoRound", roundId=round_id):
        feed.functions.getRoundData(round_id).call()

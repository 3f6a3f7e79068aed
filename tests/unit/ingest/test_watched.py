"""What watched wallets hold, cut by cut, beside the books: for those alone that the network agreed to watch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from chains.adapter import DisputedError
from chains.simulated.adapter import SimulatedAdapter
from chains.simulated.endpoint import SimulatedChain
from chains.types import AccountId, Address, Amount, ChainRecipe, Checkpoint, Cut, FreeBalances, Height
from node.consensus.outcome.cuts import unstarted
from node.ingest.follower import ChainFollower
from node.model.ledger import FreeHoldings, Holdings
from node.model.merkle import MerkleMap
from node.model.state import ChainBook, ChainControl, Control, Watched
from tests import kit
from tests.integration.node.harness import until
from tests.kit import ETHER, ONE, TOKEN
from tests.unit.ingest.test_follower import ALICE, BOB, OTHER, Setting, holdings

OURS, THEIRS = Address(b"\x5a" * 20), Address(b"\x5b" * 20)
NONE = frozenset[int]()
WATCHING = kit.policy(text=kit.FREE).recipe_by_chain[ONE]


@pytest.fixture
def setting() -> Setting:
    return Setting()


class Counting(SimulatedAdapter):
    """Notes which wallets it is asked about, and answers when it is let."""

    def __init__(self, chain: SimulatedChain, recipe: ChainRecipe = WATCHING) -> None:
        super().__init__(chain, recipe, lambda _: None)
        self.asked: list[tuple[int, tuple[Address, ...]]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def free_balances(self, cut: Cut, wallets: Sequence[Address]) -> Mapping[Address, FreeBalances]:
        self.asked.append((cut.height, tuple(wallets)))
        await self.go_on.wait()
        return await super().free_balances(cut, wallets)


def watching(setting: Setting, adapter: Counting | None = None, recipe: ChainRecipe = WATCHING) -> ChainFollower:
    return ChainFollower(adapter or Counting(setting.chain), recipe, unstarted(ONE)[0], MerkleMap(), setting.events)


def agreed(watched: tuple[Watched, ...], pending: Cut | None = None, fixed: tuple[Watched, ...] = ()) -> Control:
    everywhere = (*((ONE, *item) for item in watched), (kit.TEN, BOB, OURS))
    chains = (
        ChainControl(ONE, {}, NONE, pending, 0, {}, fixed),
        ChainControl(kit.TEN, {}, NONE, None, 0, {}, ((BOB, OURS),)),
    )
    return Control(1, chains, (), None, (), (), everywhere)


def free(follower: ChainFollower, at: Cut, watched: tuple[Watched, ...]) -> dict[AccountId, tuple[FreeHoldings, ...]]:
    vote = follower.vote(at, watched)
    assert vote is not None
    book = follower.book(vote.root)
    assert book is not None
    leaves = {account: book.get(account) for account in (ALICE, BOB)}
    return {account: Holdings.decode(leaf).free for account, leaf in leaves.items() if leaf is not None}


def has(wallet: Address, *balances: int | None) -> FreeHoldings:
    return FreeHoldings(wallet, tuple((TOKEN, None if each is None else Amount(each)) for each in balances))


async def test_each_cut_tells_what_watched_wallets_hold_then_beside_the_books(setting: Setting) -> None:
    follower = watching(setting)
    both = ((ALICE, OURS), (BOB, THEIRS))
    follower.agreed(agreed(both))
    setting.chain.deposit(ALICE, TOKEN, ETHER)
    setting.chain.give(OURS, TOKEN, 7)
    setting.chain.give(OURS, OTHER, 7)  # no token of the chain
    first = setting.chain.mine()
    setting.chain.give(OURS, TOKEN, -2)
    setting.chain.give(THEIRS, TOKEN, 9)
    second = setting.chain.mine()
    setting.chain.give(OURS, TOKEN, -5)
    setting.chain.release(ALICE, TOKEN, ETHER)
    third = setting.chain.mine()
    setting.chain.upgrade(TOKEN)
    fourth = setting.chain.mine()
    await follower.poll()
    assert [free(follower, at, both) for at in (first, second, third, fourth)] == [
        {ALICE: (has(OURS, 7),), BOB: (has(THEIRS),)},
        {ALICE: (has(OURS, 5),), BOB: (has(THEIRS, 9),)},
        {ALICE: (has(OURS),), BOB: (has(THEIRS, 9),)},
        {ALICE: (has(OURS, None),), BOB: (has(THEIRS, None),)},
    ]
    vote = follower.vote(second, both)
    assert vote is not None
    assert holdings(follower.book(vote.root), ALICE) == (0, {TOKEN: ETHER})


async def test_nobody_is_asked_when_nobody_is_watched(setting: Setting) -> None:
    adapter = Counting(setting.chain)
    follower = watching(setting, adapter)
    follower.agreed(agreed(()))
    setting.chain.deposit(ALICE, TOKEN, ETHER)
    at = setting.chain.mine(3)
    await follower.poll()
    await setting.follower.poll()
    assert adapter.asked == []
    assert follower.vote(at) == setting.follower.vote(at)  # the very root that it had before there were wallets


async def test_who_is_watched_no_more_leaves_no_trace(setting: Setting) -> None:
    follower = watching(setting)
    follower.agreed(agreed(((ALICE, OURS), (BOB, THEIRS))))
    setting.chain.deposit(ALICE, TOKEN, ETHER)
    setting.chain.give(OURS, TOKEN, 7)
    setting.chain.mine()
    await follower.poll()
    follower.agreed(agreed(()))
    at = setting.chain.mine()
    await follower.poll()
    await setting.follower.poll()
    assert follower.vote(at) == setting.follower.vote(at)


async def test_a_wallet_that_moves_to_another_account_moves_in_the_book(setting: Setting) -> None:
    follower = watching(setting)
    setting.chain.give(OURS, TOKEN, 7)
    for account, other in ((ALICE, BOB), (BOB, ALICE)):
        follower.agreed(agreed(((account, OURS),)))
        at = setting.chain.mine()
        await follower.poll()
        assert free(follower, at, ((account, OURS),)) == {account: (has(OURS, 7),)}
        assert follower.vote(at, ((other, OURS),)) is None


async def test_a_pending_cut_that_has_to_tell_of_others_is_amended(setting: Setting) -> None:
    adapter = Counting(setting.chain)
    follower = watching(setting, adapter)
    setting.chain.give(OURS, TOKEN, 7)
    setting.chain.give(THEIRS, TOKEN, 8)
    pending = setting.chain.mine()
    await follower.poll()
    later = setting.chain.mine()
    early, late = ((ALICE, OURS),), ((ALICE, OURS), (BOB, THEIRS))
    follower.agreed(agreed(late, pending, early))
    assert follower.vote(pending, early) is None
    await follower.poll()
    assert adapter.asked == [(pending.height, (OURS,)), (later.height, (OURS, THEIRS))]
    assert free(follower, pending, early) == {ALICE: (has(OURS, 7),)}
    assert free(follower, later, late) == {ALICE: (has(OURS, 7),), BOB: (has(THEIRS, 8),)}
    other = watching(setting)  # one that has known it from the beginning
    other.agreed(agreed(early))
    await other.poll()
    assert other.vote(pending, early) == follower.vote(pending, early)
    await follower.poll()
    assert len(adapter.asked) == 2  # once is enough
    follower.agreed(agreed(late, pending))
    await follower.poll()
    assert follower.vote(pending) is not None


async def test_an_amended_tip_is_gone_on_from(setting: Setting) -> None:
    follower, other = watching(setting), watching(setting)
    setting.chain.give(OURS, TOKEN, 7)
    pending = setting.chain.mine()
    await follower.poll()
    ours = ((ALICE, OURS),)
    follower.agreed(agreed(ours, pending, ours))
    await follower.poll()
    vote = follower.vote(pending, ours)
    assert vote is not None
    book = follower.book(vote.root)
    assert book is not None
    follower.certified(setting.certify(ChainBook(Checkpoint(pending, vote.storage_hash), book, vote.assurance)), book)
    assert setting.events.seen == []
    other.agreed(agreed(ours))
    at = setting.chain.mine()
    for each in (follower, other):
        each.agreed(agreed(ours))
        await each.poll()
    assert free(follower, at, ours) == {ALICE: (has(OURS, 7),)}
    assert follower.vote(at, ours) == other.vote(at, ours)


async def test_a_certified_cut_that_was_not_amended_in_time_is_taken_without_blame(setting: Setting) -> None:
    follower, other = watching(setting), watching(setting)
    setting.chain.give(OURS, TOKEN, 7)
    pending = setting.chain.mine()
    ours = ((ALICE, OURS),)
    await follower.poll()
    other.agreed(agreed(ours, pending, ours))
    await other.poll()
    vote = other.vote(pending, ours)
    assert vote is not None
    book = other.book(vote.root)
    assert book is not None
    follower.agreed(agreed(ours, pending, ours))
    follower.certified(setting.certify(ChainBook(Checkpoint(pending, vote.storage_hash), book, vote.assurance)), book)
    assert setting.events.seen == []
    follower.agreed(agreed(()))
    at = setting.chain.mine()
    await follower.poll()
    await setting.follower.poll()
    assert follower.vote(at) == setting.follower.vote(at)


async def test_what_is_learnt_of_wallets_after_a_new_beginning_comes_too_late(setting: Setting) -> None:
    adapter = Counting(setting.chain)
    follower = watching(setting, adapter)
    pending = setting.chain.mine()
    await follower.poll()
    ours = ((ALICE, OURS),)
    follower.agreed(agreed(ours, pending, ours))
    adapter.go_on.clear()
    poll = asyncio.create_task(follower.poll())
    await until(lambda: adapter.asked)
    elsewhere = replace(WATCHING, vault=Address(b"v" * 20), from_height=Height(9))
    follower.admit(elsewhere)
    adapter.go_on.set()
    await poll
    assert follower.vote(pending, ours) is None


async def test_a_pending_cut_that_is_no_more_is_not_stuck_to(setting: Setting) -> None:
    adapter = Counting(setting.chain)
    follower = watching(setting, adapter)
    lie = setting.chain.mine()
    await follower.poll()
    setting.chain.fork(1)
    ours = ((ALICE, OURS),)
    follower.agreed(agreed(ours, lie, ours))
    with pytest.raises(DisputedError):
        await follower.poll()
    assert follower.proven_height == 0
    await follower.poll()
    assert follower.candidates == (setting.chain.head,)
    assert not follower.disputed


async def test_no_more_are_watched_than_the_policy_allows(setting: Setting) -> None:
    adapter = Counting(setting.chain)
    follower = watching(setting, adapter, replace(WATCHING, max_watched=1))
    follower.agreed(agreed(((ALICE, OURS), (BOB, THEIRS))))
    setting.chain.mine()
    await follower.poll()
    assert adapter.asked == [(1, (OURS,))]

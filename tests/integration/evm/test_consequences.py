"""What endpoints and chains do to what is signed: proxies before a real node, a follower, and the rules of the state.

Four nodes see the same and tell each other of it; the status that the rules give the chain is what they sign.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from chains.errors import HypothecError
from chains.evm.adapter import EvmAdapter
from chains.evm.proxy import Lie
from chains.types import NATIVE_COIN
from node.consensus.outcome.cuts import advance, unstarted
from node.consensus.outcome.observation import ChainObservation
from node.ingest.follower import ChainFollower
from node.margin.context import chain_reason
from node.model.header import ChainState
from node.model.health import Reason
from node.model.merkle import MerkleMap
from tests import kit
from tests.integration.evm.conftest import Panel
from tests.integration.evm.harness import ACCOUNTS, CHAIN_ID

ALICE = ACCOUNTS[0]
MAX_AGE = kit.policy().timing.max_cut_age


class Silent:
    """A meter."""

    def count(self, event: str, **labels: object) -> None: ...

    def fault(self, event: str, error: BaseException, **labels: object) -> None: ...


class Committee:
    """Four nodes that follow one chain; `time` is the state's, in seconds, and begins with the chain's."""

    def __init__(self, panel: Panel, adapter: EvmAdapter) -> None:
        self.panel = panel
        self.time = panel.site.chain.now()
        self.state, self._control = unstarted(CHAIN_ID)
        self._follower = ChainFollower(adapter, panel.site.recipe, self.state, MerkleMap(), Silent())
        self._network, self._timing = kit.network(), kit.policy().timing

    async def rounds(self, count: int = 2, seconds: int = 1) -> Reason | None:
        """Look, tell, and count votes; two rounds certify what is offered. Why the chain is uncertain then."""
        for _ in range(count):
            self.time += seconds
            self.panel.now += seconds
            with suppress(HypothecError):  # the node counts it and looks again
                await self._follower.poll()
            self._count_votes()
        return chain_reason(self.state, MAX_AGE, self.time * 1000)

    def _count_votes(self) -> None:
        pending = self._control.pending
        vote = self._follower.vote(pending) if pending is not None else None
        voted = pending.block_hash if pending is not None and vote is not None else None
        seen = ChainObservation(CHAIN_ID, self._follower.candidates, self._follower.disputed, voted, vote)
        votes = dict.fromkeys(range(self._network.n), seen)
        done = advance(self.state, self._control, votes, self._network, self._timing, self.time * 1000)
        self.state, self._control = done.state, done.control
        if done.certified is not None:
            book = self._follower.book(self.state.root)
            assert book is not None
            self._follower.certified(self.state, book)

    def happen(self) -> None:
        """A deposit, and blocks at the state's time until it is final."""
        self.panel.site.deposit(ALICE, NATIVE_COIN, 7)
        self.mine_at(self.time)

    def mine_at(self, moment: int) -> None:
        """Blocks until the first of them is final, at this time and the seconds after it; later if there are later."""
        for second in range(3):
            self.panel.site.chain.pass_to(max(moment + second, self.panel.site.chain.now() + 1))


@asynccontextmanager
async def committee(panel: Panel) -> AsyncIterator[Committee]:
    """With something certified while everybody is honest."""
    async with panel.adapter() as adapter:
        made = Committee(panel, adapter)
        panel.site.post(2000 * 10**8)
        made.happen()
        assert await made.rounds() is None
        assert made.state.cut.height > 0
        yield made


def moved(before: ChainState, after: ChainState) -> bool:
    return after.cut.height > before.cut.height and after.root != before.root


@pytest.mark.parametrize("lie", Lie, ids=lambda lie: lie.name)
async def test_one_endpoint_of_three_changes_nothing_that_is_signed(panel: Panel, lie: Lie) -> None:
    panel.patience = 0.5 if lie is Lie.HANG else panel.patience
    async with committee(panel) as nodes:
        before = nodes.state
        panel.liar.lie = lie
        nodes.happen()
        assert await nodes.rounds(3) is None
        assert moved(before, nodes.state)


@pytest.mark.parametrize("lie", Lie, ids=lambda lie: lie.name)
async def test_if_all_lie_the_chain_is_halted_at_what_was_certified(panel: Panel, lie: Lie) -> None:
    panel.patience = 0.2 if lie is Lie.HANG else panel.patience
    async with committee(panel) as nodes:
        for proxy in panel.proxies:
            proxy.lie = lie
        if lie is Lie.STALE_HEAD:
            await nodes.rounds()  # where it stops
        before = nodes.state
        nodes.happen()
        await nodes.rounds()
        assert await nodes.rounds(1, seconds=MAX_AGE + 10) is Reason.CHAIN_HALTED
        assert nodes.state.root == before.root, "blocks below the deposit may be proven yet"
        for proxy in panel.proxies:
            proxy.lie = None
        nodes.happen()
        assert await nodes.rounds(12) is None, "each look forgets one block that all had forged"
        assert moved(before, nodes.state)


async def test_a_chain_without_new_blocks_is_halted_until_there_are_some(panel: Panel) -> None:
    async with committee(panel) as nodes:
        assert await nodes.rounds(1, seconds=MAX_AGE - 10) is None
        assert await nodes.rounds(1, seconds=20) is Reason.CHAIN_HALTED
        assert not panel.faults, "it is no endpoint's fault"
        nodes.happen()
        assert await nodes.rounds() is None


async def test_a_chain_whose_clock_is_far_ahead_is_halted_at_once(panel: Panel) -> None:
    async with committee(panel) as nodes:
        nodes.mine_at(nodes.time + MAX_AGE + 10)
        assert await nodes.rounds() is Reason.CHAIN_HALTED
        assert nodes.state.cut.time > nodes.time + MAX_AGE, "followed all the same"
        assert not panel.faults
        assert await nodes.rounds(1, seconds=20) is None, "its time has come"


async def test_a_clock_that_is_a_little_ahead_hides_no_halt(panel: Panel) -> None:
    async with committee(panel) as nodes:
        nodes.mine_at(nodes.time + MAX_AGE - 10)
        assert await nodes.rounds() is None
        assert await nodes.rounds(1, seconds=MAX_AGE - 5) is None
        assert await nodes.rounds(1, seconds=10) is Reason.CHAIN_HALTED


async def test_a_chain_whose_clock_falls_behind_is_halted_though_blocks_come(panel: Panel) -> None:
    async with committee(panel) as nodes:
        before = nodes.state.cut.height
        nodes.time += MAX_AGE
        panel.site.settle()
        assert await nodes.rounds(3) is Reason.CHAIN_HALTED
        assert nodes.state.cut.height > before


async def test_a_chain_that_forks_below_finality_is_disputed_at_what_was_certified(panel: Panel) -> None:
    panel.site.mine(5)
    async with committee(panel) as nodes:
        before = nodes.state
        panel.site.fork(4)
        panel.site.mine(3)
        assert await nodes.rounds() is Reason.CHAIN_DISPUTED
        assert nodes.state.checkpoint == before.checkpoint
        assert await nodes.rounds(2, seconds=MAX_AGE) is Reason.CHAIN_DISPUTED, "and does not become a mere halt"
        assert nodes.state.checkpoint == before.checkpoint
        assert not panel.faults


# === What the operator sees of it ===


async def test_who_forges_a_header_is_on_record_beside_what_the_others_said(panel: Panel) -> None:
    panel.liar.lie = Lie.FORGED_HEADER
    async with panel.adapter() as adapter:
        (cut,) = await adapter.final_cuts(panel.site.recipe.from_height, 1)
        (found,) = adapter.disagreements()
        assert (found.height, found.agreed) == (cut.height, cut.block_hash)
        said = dict(found.said)
        names = [proxy.url.removeprefix("http://") for proxy in panel.proxies]
        assert [said[name] == cut.block_hash for name in names] == [False, True, True]
        standings = {each.name: each for each in adapter.standings()}
        assert [standings[name].trusted for name in names] == [False, True, True]
        assert [standings[name].lies for name in names] == [1, 0, 0]
        assert standings[names[0]].reason == "DISAGREES"
        assert all(each.height == cut.height for each in standings.values())


async def test_who_lags_stands_so_many_blocks_behind_and_is_asked_last(panel: Panel) -> None:
    async with committee(panel) as nodes:
        panel.liar.lie = Lie.STALE_HEAD
        await nodes.rounds(1)
        nodes.happen()
        panel.liar.calls.clear()
        assert await nodes.rounds() is None
        assert not panel.faults, "an endpoint may be a little behind"
        assert "eth_getProof" not in panel.liar.calls, "it could not prove anything there"

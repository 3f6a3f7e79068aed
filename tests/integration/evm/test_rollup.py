"""A rollup and its L1, both real: what counts as settled, what is refused and why, and a sequencer that stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from chains.adapter import DisputedError, Endpoints, Rollup, Settles
from chains.errors import ConfigError
from chains.evm.adapter import EvmAdapter
from chains.evm.pool import Excused
from chains.evm.proxy import Lie, LyingProxy
from chains.evm.rollup import claims, settlement
from chains.evm.rollup.settlement import TRIES
from chains.proofs.header import Header
from chains.proofs.keccak import keccak
from chains.proofs.output_root import MESSAGE_PASSER, Output, RollupFinality
from chains.proofs.rollup.errors import ContractChanged
from chains.types import NATIVE_COIN, Assurance, ChainId, Cut, EndpointFault, Hash32, Height
from tests.integration.evm.harness import ACCOUNTS, Site
from tests.integration.evm.l1 import DELAY, L1_ID, L2_ID, OTHER_TYPE, SUPER_TYPE, Layers, running

pytestmark = pytest.mark.timeout(180)  # the first compiles the contracts

PASSED, PROPOSED = RollupFinality.CHALLENGE_PASSED, RollupFinality.PROPOSED


@pytest.fixture(scope="module")
def deployed() -> Iterator[Layers]:
    with running(L1_ID) as l1, running(L2_ID) as l2:
        yield Layers(*l1, *l2)


@pytest.fixture
def layers(deployed: Layers) -> Iterator[Layers]:
    kept = [(chain, chain.rpc("evm_snapshot")) for chain in (deployed.l1, deployed.l2)]
    yield deployed
    for chain, snapshot in kept:
        chain.rpc("evm_revert", snapshot)


@pytest.fixture
def old() -> Iterator[Layers]:
    """A rollup before Isthmus."""
    with running(L1_ID) as l1, running(L2_ID, "--hardfork", "cancun") as l2:
        layers = Layers(*l1, *l2)
        passer = "0x" + MESSAGE_PASSER.hex()
        layers.l2.rpc("anvil_setCode", passer, "0x6001")
        layers.l2.rpc("anvil_setStorageAt", passer, "0x" + "00" * 32, "0x" + "07" * 32)
        for _ in range(3):
            layers.settle()
        yield layers


@pytest.fixture
def vaulted(site: Site) -> Iterator[Layers]:
    """A rollup with a vault."""
    with running(L1_ID) as l1:
        yield Layers(*l1, site.url, site.chain)


def cut(layers: Layers, height: int) -> Cut:
    header = layers.header(height)
    return Cut(ChainId(layers.l2.chain_id), header.number, header.hash, header.timestamp)


async def test_a_game_is_proposed_then_resolved_and_counts_when_its_delay_is_over(layers: Layers) -> None:
    async with layers.following(layers.by_games) as follower:
        assert (await follower.look()).proposed is None
        game = layers.play(5)
        layers.settle()
        found = await follower.look()
        assert found.proposed is not None
        assert (found.proposed.height, found.proposed.finality, found.passed) == (5, PROPOSED, None)
        assert found.proposed.block_hash == layers.header(5).hash
        layers.resolve(game)
        layers.settle()
        assert (await follower.look()).passed is None
        layers.pass_delay()
        found = await follower.look()
        assert found.passed is not None
        assert (found.passed.height, found.passed.finality, found.refused) == (5, PASSED, ())
        assert found.passed == found.proposed


async def test_what_does_not_count_is_refused_by_name_and_the_game_below_it_counts(layers: Layers) -> None:
    layers.resolve(layers.play(4))
    layers.pass_delay()
    garbage = layers.play(1_000_000, root=keccak(b"garbage"), game_type=OTHER_TYPE)
    struck = layers.play(6)
    lost = layers.play(7)
    open_lie = layers.play(8, root=keccak(b"a lie that somebody will challenge"))
    for game, defended in ((garbage, True), (struck, True), (lost, False)):
        layers.resolve(game, defended=defended)
    layers.l1.send(layers.registry.functions.blacklist(struck.address))
    layers.pass_delay()
    async with layers.following(layers.by_games) as follower:
        for _ in range(2):  # the second time, what was compared before is known
            found = await follower.look()
            assert found.passed is not None
            assert found.passed == found.proposed
            assert found.passed.height == 4
            reasons = (
                ("another root", open_lie),
                ("The challenger won", lost),
                ("is blacklisted", struck),
                ("not of the type", garbage),
            )
            assert len(found.refused) == len(reasons)
            for said, (reason, game) in zip(found.refused, reasons, strict=True):
                assert reason in said
                assert game.address.lower() in said


async def test_a_game_of_a_block_that_is_not_final_yet_is_waited_for(layers: Layers) -> None:
    height = int(layers.l2.web3.eth.block_number)
    layers.play(height)
    layers.l1.rpc("anvil_mine", "0x5")
    async with layers.following(layers.by_games) as follower:
        for _ in range(TRIES + 2):
            layers.look_again()
            found = await follower.look()
            assert found.proposed is None
            assert "still to come" in found.refused[0]
        layers.settle()
        found = await follower.look()
        assert found.proposed is not None
        assert found.proposed.height == height


async def test_games_from_before_a_retirement_do_not_count(layers: Layers) -> None:
    layers.resolve(layers.play(4))
    layers.l1.send(layers.registry.functions.retire())
    layers.pass_delay()
    async with layers.following(layers.by_games) as follower:
        found = await follower.look()
        assert (found.passed, found.proposed) == (None, None)
        assert "is retired" in found.refused[0]


async def test_a_lie_that_passed_its_challenge_disputes_the_chain(layers: Layers) -> None:
    layers.resolve(layers.play(4, root=keccak(b"a lie that nobody challenged")))
    layers.pass_delay()
    async with layers.following(layers.by_games) as follower:
        with pytest.raises(DisputedError) as caught:
            await follower.look()
        assert follower.dispute is caught.value
        assert caught.value.values["root"] == layers.root(4)
        layers.l1.send(layers.registry.functions.retire())
        layers.settle()
        await follower.look()
        assert follower.dispute is None


async def test_a_height_has_the_class_of_the_block_above_it_that_l1_has_settled(layers: Layers) -> None:
    layers.resolve(layers.play(5))
    layers.pass_delay()
    layers.play(9)
    layers.settle()
    async with layers.following(layers.by_games) as follower:
        found = await follower.look()
        settled = [found.above(Height(height)) for height in (3, 5, 6, 9, 10)]
        assert [each and each.finality for each in settled] == [PASSED, PASSED, PROPOSED, PROPOSED, None]


async def test_a_game_of_several_chains_is_about_the_newest_block_up_to_its_time(layers: Layers) -> None:
    layers.l1.send(layers.registry.functions.respect(SUPER_TYPE))
    layers.pass_delay()  # the rollup's blocks come at no steady pace
    times = [layers.header(height).timestamp for height in range(layers.l2.web3.eth.block_number - 1)]
    assert max(later - earlier for earlier, later in pairwise(times)) > DELAY

    def newest(time: int) -> int:
        return max(height for height, made in enumerate(times) if made <= time)

    faults: list[EndpointFault] = []
    played = []
    async with layers.following(layers.by_games, faults=faults) as follower:
        for time in (times[2], times[-1] - DELAY // 2, times[-1] - 1):
            played.append(layers.play_of_several(time, layers.root(newest(time))))
            layers.settle()
            found = await follower.look()
            assert found.refused == ()
            assert found.proposed is not None
            assert found.proposed.height == newest(time)
        layers.resolve(layers.play_of_several(times[2], keccak(b"a lie")), defended=False)
        layers.play_of_several(times[-1] - 1, keccak(b"a lie"))
        layers.play_of_several(times[-1] + 10**6, layers.root(5))
        layers.resolve(played[-1])
        layers.pass_delay()
        found = await follower.look()
        assert found.passed is not None
        height = newest(times[-1] - 1)
        assert (found.passed.height, found.passed.block_hash) == (height, layers.header(height).hash)
        for said, refused in zip(("still to come", "no block above", "challenger won"), found.refused, strict=True):
            assert said in refused
    assert faults == []


# === By parent hashes ===


async def test_what_l1_settles_is_tied_to_the_cut_above_it_also_after_a_restart(layers: Layers, tmp_path: Path) -> None:
    layers.resolve(layers.play(5))
    layers.pass_delay()
    layers.play(16)
    layers.settle()
    state = tmp_path / "captures.json"
    async with layers.following(layers.by_games, state=state) as follower:
        found = await follower.look()
        assert found.passed is not None
        assert not found.passed.tied, "there is no cut yet"
        follower.proved(cut(layers, 12))
        found = await follower.look()
        assert found.passed is not None
        assert found.proposed is not None
        assert (found.passed.tied, found.proposed.tied) == (True, False)
    async with layers.following(layers.by_games, state=state) as restarted:
        found = await restarted.look()
        assert found.passed is not None
        assert found.passed.tied


async def test_a_cut_of_a_chain_that_was_left_ties_nothing_and_nobody_is_blamed(layers: Layers) -> None:
    layers.resolve(layers.play(5))
    layers.pass_delay()
    faults: list[EndpointFault] = []
    async with layers.following(layers.by_games, faults=faults) as follower:
        true = cut(layers, 12)
        follower.proved(replace(true, block_hash=keccak(b"a fork that all endpoints once agreed on")))
        for tied in (False, False):
            found = await follower.look()
            assert found.passed is not None
            assert found.passed.tied is tied
        follower.proved(true)
        found = await follower.look()
        assert found.passed is not None
        assert found.passed.tied
    assert faults == []


async def test_endpoints_that_serve_another_past_than_that_of_their_cut_are_disputed(layers: Layers) -> None:
    """They agree on a block that does not descend from the one that they agree on below it, and that L1 has settled."""
    layers.resolve(layers.play(5))
    layers.pass_delay()
    async with layers.following(layers.by_games) as follower:
        follower.proved(cut(layers, 12))
        await follower.look()
        follower._ties.clear()
        heads, headers_at = follower._heads, follower._heads.at

        async def at(heights: Sequence[Height], excused: Excused = ()) -> list[Header]:
            found = await headers_at(heights, excused)
            return [layers.header(3) if header.number == 12 else header for header in found]

        heads.at = at  # type: ignore[method-assign]
        follower._captures._cuts[Height(12)] = layers.header(3).hash
        with pytest.raises(DisputedError, match="another chain than that of a cut"):
            await follower.look()
        assert follower.dispute is not None


# === Before Isthmus, where a root takes a proof of the rollup's state, and endpoints forget old state ===


def passer_root(layers: Layers, height: int) -> Hash32:
    """The output root of a block of a rollup before Isthmus."""
    header = layers.header(height)
    proof = layers.l2.rpc("eth_getProof", "0x" + MESSAGE_PASSER.hex(), [], hex(height))
    storage_root = Hash32(bytes.fromhex(proof["storageHash"].removeprefix("0x")))
    return Output(header.state_root, storage_root, header.hash).root()


async def test_a_proof_is_captured_while_it_is_served_and_counts_later(old: Layers, tmp_path: Path) -> None:
    layers, state = old, tmp_path / "data" / "captures.json"
    height = layers.l2.web3.eth.block_number - 2
    game = layers.play(height, passer_root(layers, height))
    layers.settle()
    async with LyingProxy(layers.l2_url) as proxy:
        urls = (proxy.url,)
        async with layers.following(layers.by_games, l2_urls=urls, state=state) as follower:
            found = await follower.look()
            assert found.proposed is not None
            assert found.proposed.height == height
            proxy.lie = Lie.PROOF_WINDOW
            layers.resolve(game)
            layers.pass_delay()
            found = await follower.look()
            assert found.passed is not None
            assert found.passed.height == height
        async with layers.following(layers.by_games, l2_urls=urls, state=state) as restarted:
            assert (await restarted.look()).passed == found.passed
        faults: list[EndpointFault] = []
        state.write_text(state.read_text().replace('"0x', '"0x0', 1))
        async with layers.following(layers.by_games, l2_urls=urls, state=state, faults=faults) as late:
            found = await late.look()
            assert found.passed is None
            assert "No endpoint lets a claim be checked" in found.refused[0]
            assert [fault.reason for fault in faults] == ["CAPTURES_REFUSED"], "and no endpoint is blamed"


async def test_a_game_of_an_old_height_stops_nothing_and_nobody_is_blamed_for_it(
    old: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = old
    monkeypatch.setattr(settlement, "PROOF_WINDOW", 2)
    height = layers.l2.web3.eth.block_number - 2
    games = [layers.play(height, passer_root(layers, height))]
    layers.settle()
    faults: list[EndpointFault] = []
    async with LyingProxy(layers.l2_url) as proxy:
        async with layers.following(layers.by_games, l2_urls=(proxy.url,), faults=faults) as follower:
            await follower.look()
            proxy.lie = Lie.PROOF_WINDOW
            garbage = layers.play(3, keccak(b"garbage"))
            games += [layers.play(4, passer_root(layers, 4))]  # true, and brings nothing
            layers.settle()
            for _ in range(TRIES + 1):
                layers.look_again()
                found = await follower.look()
                assert found.proposed is not None
                assert found.proposed.height == height
                assert "No endpoint lets a claim be checked" in found.refused[1]
            before = proxy.calls["eth_getProof"]
            layers.look_again()
            await follower.look()
            assert proxy.calls["eth_getProof"] == before, "it was tried often enough"
            for game in games:
                layers.resolve(game)
            layers.pass_delay()
            found = await follower.look()
            assert found.passed == found.proposed
            assert found.passed is not None
            assert found.passed.height == height
            assert garbage.address.lower() in found.refused[1]
        assert faults == []


async def test_a_recent_game_is_tried_until_endpoints_prove_what_it_takes(old: Layers) -> None:
    layers = old
    height = layers.l2.web3.eth.block_number - 2
    layers.play(height, passer_root(layers, height))
    layers.settle()
    faults: list[EndpointFault] = []
    async with (
        LyingProxy(layers.l2_url) as proxy,
        layers.following(layers.by_games, l2_urls=(proxy.url,), faults=faults) as follower,
    ):
        proxy.lie = Lie.PROOF_WINDOW
        for _ in range(TRIES + 2):
            assert (await follower.look()).proposed is None
        proxy.lie = None
        found = await follower.look()
        assert found.proposed is not None
        assert found.proposed.height == height
    assert faults == []


async def test_a_true_game_of_an_old_height_does_not_pass_for_the_newest(layers: Layers) -> None:
    for height in (15, 3, 2):
        layers.resolve(layers.play(height))
    layers.pass_delay()
    layers.play(16)
    layers.play(14)
    layers.settle()
    async with layers.following(layers.by_games) as follower:
        for _ in range(2):
            found = await follower.look()
            assert found.passed is not None
            assert found.proposed is not None
            assert (found.passed.height, found.proposed.height) == (15, 16)
            layers.look_again()


async def test_what_is_disputed_stays_so_while_it_is_only_hidden(old: Layers) -> None:
    layers = old
    height = layers.l2.web3.eth.block_number - 2
    layers.resolve(layers.play(height, keccak(b"a lie that nobody challenged")))
    layers.pass_delay()
    async with (
        LyingProxy(layers.l2_url) as proxy,
        layers.following(layers.by_games, l2_urls=(proxy.url,)) as follower,
    ):
        with pytest.raises(DisputedError):
            await follower.look()
        proxy.lie = Lie.PROOF_WINDOW
        follower._captures._roots.clear()
        layers.settle()
        await follower.look()
        assert follower.dispute is not None
        layers.l1.send(layers.registry.functions.retire())
        layers.settle()
        await follower.look()
        assert follower.dispute is None


# === Other ways to claim ===


async def test_an_oracles_output_counts_after_its_period_unless_it_is_deleted(layers: Layers) -> None:
    layers.l1.send(layers.oracle.functions.propose(layers.root(4), 4))
    layers.l1.send(layers.oracle.functions.propose(layers.root(5), 5))
    layers.settle()
    async with layers.following(layers.by_oracle) as follower:
        found = await follower.look()
        assert found.proposed is not None
        assert (found.proposed.height, found.passed) == (5, None)
        layers.l1.send(layers.oracle.functions.deleteFrom(1))
        layers.pass_delay()
        found = await follower.look()
        assert found.passed is not None
        assert found.passed.height == 4


async def test_assertions_are_proposed_one_on_the_other_and_count_when_they_are_confirmed(layers: Layers) -> None:
    faults: list[EndpointFault] = []
    async with layers.following(layers.by_assertions, faults=faults) as follower:
        found = await follower.look()
        assert (found.passed, found.proposed) == (None, None)
        assert "nothing has been asserted" in found.refused[0]
        first = layers.assert_block(layers.header(5).hash)
        second = layers.assert_block(layers.header(7).hash, first)
        third = layers.assert_block(layers.header(9).hash, second)
        layers.assert_block(keccak(b"a rival's"), second)
        layers.settle()
        found = await follower.look()
        assert found.proposed is not None
        assert (found.passed, found.proposed.height, found.proposed.finality) == (None, 9, PROPOSED)
        layers.l1.send(layers.arbitrum.functions.confirm(first))
        layers.settle()
        found = await follower.look()
        assert found.passed is not None
        assert (found.passed.height, found.passed.block_hash, found.passed.finality) == (
            5,
            layers.header(5).hash,
            PASSED,
        )
        assert found.proposed is not None
        assert found.proposed.height == 9
        layers.l1.send(layers.arbitrum.functions.undo(second, third))
        layers.settle()
        heights = []
        for _ in range(2):
            found = await follower.look()
            assert found.proposed is not None
            heights.append(found.proposed.height)
            layers.look_again()
        assert heights == [5, 7]
    assert faults == []


async def test_an_assertion_of_a_block_that_nobody_has_disputes_the_chain_once_it_is_confirmed(layers: Layers) -> None:
    faults: list[EndpointFault] = []
    async with layers.following(layers.by_assertions, faults=faults) as follower:
        true = layers.assert_block(layers.header(5).hash)
        false = layers.assert_block(keccak(b"none"), true)
        layers.settle()
        found = await follower.look()
        assert found.proposed is not None
        assert found.proposed.height == 5
        assert "do not have the block" in found.refused[0]
        for name in (true, false):
            layers.l1.send(layers.arbitrum.functions.confirm(name))
        layers.settle()
        assert (await follower.look()).passed is None, "they may yet get it"
        layers.pass_delay()
        with pytest.raises(DisputedError):
            await follower.look()
        assert follower.dispute is not None
    assert faults == [], "no endpoint is blamed for a block that nobody has"


@pytest.mark.parametrize("recipe", ["by_assertions", "by_nodes"])
async def test_an_l1_endpoint_that_hides_an_assertion_is_named_and_another_is_asked(
    layers: Layers, recipe: str
) -> None:
    name = layers.assert_block(layers.header(5).hash)
    layers.l1.send(layers.arbitrum.functions.confirm(name))
    layers.l1.send(layers.classic.functions.create(layers.header(5).hash, keccak(b"sends")))
    layers.l1.send(layers.classic.functions.resolve(True))
    layers.settle()
    faults: list[EndpointFault] = []
    async with LyingProxy(layers.l1_url) as liar:
        liar.lie = Lie.MISSING_LOG
        urls = (liar.url, layers.l1_url, layers.l1_url.replace("127.0.0.1", "localhost"))
        async with layers.following(getattr(layers, recipe), l1_urls=urls, faults=faults) as follower:
            found = await follower.look()
    assert found.passed is not None
    assert found.passed.height == 5
    assert [(fault.endpoint, fault.reason) for fault in faults] == [(liar.url.removeprefix("http://"), "MISSING_LOG")]


async def test_one_honest_l1_endpoint_is_enough_for_what_a_confirmed_assertion_is_about(
    layers: Layers, tmp_path: Path
) -> None:
    """Others that have another block at its height, or none, cannot hide it: its name binds what it tells."""
    name = layers.assert_block(layers.header(5).hash)
    layers.l1.send(layers.arbitrum.functions.confirm(name))
    layers.settle()
    state = tmp_path / "captures.json"
    async with LyingProxy(layers.l1_url) as liar, LyingProxy(layers.l1_url) as other:
        liar.lie, other.lie = Lie.FORGED_ANCESTOR, Lie.MISSING_RECEIPT
        urls = (liar.url, other.url, layers.l1_url)
        async with layers.following(layers.by_assertions, l1_urls=urls, state=state) as follower:
            found = await follower.look()
        assert found.passed is not None
        assert found.passed.height == 5
        async with layers.following(layers.by_assertions, l1_urls=(other.url,), state=state) as restarted:
            assert (await restarted.look()).passed == found.passed, "its event is kept"


@pytest.mark.parametrize("recipe", ["by_assertions", "by_nodes"])
async def test_what_l1_endpoints_no_longer_tell_of_those_that_wait_stops_nothing(layers: Layers, recipe: str) -> None:
    def claim(height: int, *, confirmed: bool) -> None:
        block = layers.header(height).hash
        name = layers.assert_block(block)
        layers.l1.send(layers.classic.functions.create(block, keccak(b"sends")))
        if confirmed:
            layers.l1.send(layers.arbitrum.functions.confirm(name))
            layers.l1.send(layers.classic.functions.resolve(confirmed))
        layers.settle()

    claim(5, confirmed=True)
    faults: list[EndpointFault] = []
    async with (
        LyingProxy(layers.l1_url) as pruned,
        layers.following(getattr(layers, recipe), l1_urls=(pruned.url,), faults=faults) as follower,
    ):
        found = await follower.look()
        pruned.lie = Lie.PRUNED
        claim(7, confirmed=False)
        again = await follower.look()
        assert found.passed is not None
        assert (again.passed, again.proposed) == (found.passed, found.passed)
        assert "No endpoint of the L1 tells what was claimed" in again.refused[0]
        pruned.lie = None
        layers.look_again()
        found = await follower.look()
        assert found.proposed is not None
        assert found.proposed.height == 7
    assert faults == []


async def test_nodes_before_bold_are_proposed_and_count_when_they_are_confirmed(layers: Layers) -> None:
    create, resolve = layers.classic.functions.create, layers.classic.functions.resolve
    faults: list[EndpointFault] = []
    async with layers.following(layers.by_nodes, faults=faults) as follower:
        found = await follower.look()
        assert (found.passed, found.proposed) == (None, None)
        for block in (keccak(b"a rival's"), layers.header(5).hash, layers.header(8).hash):
            layers.l1.send(create(block, keccak(b"sends")))
        layers.settle()
        found = await follower.look()
        assert found.proposed is not None
        assert (found.passed, found.proposed.height) == (None, 8)
        for confirmed in (False, True):
            layers.l1.send(resolve(confirmed))
        layers.settle()
        found = await follower.look()
        assert found.passed is not None
        assert found.proposed is not None
        assert (found.passed.height, found.passed.finality, found.proposed.height) == (5, PASSED, 8)
    assert faults == []


@pytest.mark.parametrize("name", ["factory", "registry"])
async def test_an_upgrade_stops_the_settlement_and_nothing_is_read_from_the_contract(layers: Layers, name: str) -> None:
    layers.resolve(layers.play(4))
    layers.pass_delay()
    slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
    logic = layers.oracle.address.removeprefix("0x").rjust(64, "0")
    async with layers.following(layers.by_games) as follower:
        before = await follower.look()
        layers.l1.rpc("anvil_setStorageAt", getattr(layers, name).address, slot, "0x" + logic)
        layers.settle()
        layers.settle()
        with pytest.raises(ContractChanged):
            await follower.look()
        assert follower.latest == before


@pytest.mark.parametrize("lie", [Lie.ALTERED_VALUE, Lie.ALTERED_PROOF, Lie.OTHER_BLOCK])
async def test_an_l1_endpoint_that_lies_about_games_is_named_and_another_is_asked(layers: Layers, lie: Lie) -> None:
    layers.resolve(layers.play(4))
    layers.pass_delay()
    faults: list[EndpointFault] = []
    async with LyingProxy(layers.l1_url) as liar:
        liar.lie = lie
        urls = (liar.url, layers.l1_url, layers.l1_url.replace("127.0.0.1", "localhost"))
        async with layers.following(layers.by_games, l1_urls=urls, faults=faults) as follower:
            found = await follower.look()
    assert found.passed is not None
    assert found.passed.height == 4
    assert {fault.endpoint for fault in faults} == {liar.url.removeprefix("http://")}
    assert {fault.chain_id for fault in faults} == {L1_ID}


async def test_a_sequencer_that_stops_is_seen_by_the_clock_of_l1_and_named_once(layers: Layers) -> None:
    layers.resolve(layers.play(4))
    layers.pass_delay()
    faults: list[EndpointFault] = []
    async with layers.following(layers.by_games, faults=faults) as follower:
        assert not (await follower.look()).halted
        layers.l1.pass_to(layers.l2.now() + 2 * DELAY)
        layers.l1.rpc("anvil_mine", "0x2")
        layers.look_again()
        for _ in range(2):
            layers.look_again()
            found = await follower.look()
            assert found.halted
            assert found.silent >= 2 * DELAY
            assert found.passed is not None
        assert [(fault.chain_id, fault.endpoint, fault.reason) for fault in faults] == [
            (L2_ID, "settlement", "SEQUENCER_HALTED")
        ]
        layers.l2.pass_to(layers.l1.now())
        layers.l2.rpc("anvil_mine", "0x2")
        layers.look_again()
        assert not (await follower.look()).halted


async def test_values_count_at_the_newest_cut_and_what_is_settled_is_published_beside_them(
    site: Site, vaulted: Layers
) -> None:
    vaulted.resolve(vaulted.play(site.height - 4))
    vaulted.pass_delay()
    site.deposit(ACCOUNTS[0], NATIVE_COIN, 5)
    vaulted.settle()
    told = asyncio.Event()

    def sink(fault: EndpointFault) -> None:
        if fault.reason == DisputedError.reason:
            told.set()

    rollup = Rollup(L1_ID, (vaulted.l1_url,), 1, vaulted.by_games, every=0.02)
    async with EvmAdapter(site.recipe, Endpoints((site.url,), 1, rollup=rollup), sink) as adapter:
        assert isinstance(adapter, Settles)
        (cut,) = await adapter.final_cuts(Height(0), 1)
        delta = await adapter.delta(None, cut)
        assert delta.assurance is Assurance.ATTESTED
        assert delta.accounts[ACCOUNTS[0]].balances == {NATIVE_COIN: 5}
        async with asyncio.timeout(20):
            while not ((found := adapter.settlement) and found.passed and found.passed.tied):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        assert found.passed.height < cut.height
        vaulted.resolve(vaulted.play(site.height, root=keccak(b"a lie that nobody challenged")))
        vaulted.pass_delay()
        async with asyncio.timeout(20):
            await told.wait()
        with pytest.raises(DisputedError, match="settled another"):
            await adapter.delta(None, cut)


async def test_a_chain_that_is_no_rollup_has_no_settlement(site: Site) -> None:
    async with EvmAdapter(site.recipe, Endpoints((site.url,), 1), lambda _: None) as adapter:
        assert adapter.settlement is None


async def test_too_small_a_quorum_on_l1_is_refused_and_leaves_nothing_open(site: Site, layers: Layers) -> None:
    rollup = Rollup(L1_ID, (layers.l1_url, layers.l1_url + "/"), 1, layers.by_games)
    with pytest.raises(ConfigError):
        async with EvmAdapter(site.recipe, Endpoints((site.url,), 1, rollup=rollup), lambda _: None):
            pass


async def test_many_claims_are_looked_at_in_pieces_and_no_further_than_the_bound(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers.resolve(layers.play(4))
    layers.pass_delay()
    for height in range(5, 12):
        layers.play(height)
    layers.settle()
    monkeypatch.setattr(claims, "CLAIMS_A_LOOK", 3)
    async with layers.following(layers.by_games) as follower:
        for bound, reached in ((8, True), (7, False), (1, False)):
            monkeypatch.setattr(claims, "MAX_CLAIMS", bound)
            found = await follower.look()
            assert (found.passed is not None) is reached
            assert found.proposed is not None
            assert found.proposed.height == 11


async def test_what_breaks_a_look_ends_nothing(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[EndpointFault] = []
    async with layers.following(layers.by_games, faults=faults) as follower:
        again, looks = asyncio.Event(), 0

        async def look() -> None:
            nonlocal looks
            looks += 1
            if looks > 1:
                again.set()
            raise ZeroDivisionError("what nobody thought of")

        monkeypatch.setattr(follower, "look", look)
        monkeypatch.setattr(follower, "_rollup", replace(follower._rollup, every=0.0))
        running_on = asyncio.create_task(follower.run())
        await asyncio.wait_for(again.wait(), 10)
        running_on.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running_on
    assert [fault.detail for fault in faults] == ["what nobody thought of"]

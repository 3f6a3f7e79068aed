"""The light client over a simulated beacon chain that wraps a real execution chain, and what it makes of lies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from chains.adapter import Beacon, Endpoints
from chains.errors import ProofError, QuorumError, RetryError
from chains.evm.adapter import EvmAdapter
from chains.evm.beacon.client import LightClient
from chains.evm.endpoint import Endpoint, Limits, open_session
from chains.evm.pool import EndpointPool, Quarantine
from chains.evm.proxy import Lie, LyingProxy
from chains.proofs.lightclient.config import Fork
from chains.types import NATIVE_COIN, Assurance, ChainDelta, Cut, EndpointFault, Hash32, Height, UnixSeconds
from node.testnet.beacon.server import BeaconLie, BeaconServer, simulated_network
from tests.integration.evm.harness import ACCOUNTS, CHAIN_ID, FINALITY, Site

ALICE, BOB = ACCOUNTS[:2]
SEAL = b"\x07" * 32
MAX_AGE = 60
PATIENCE = 20.0
PERIOD = 64
DAY = 24 * 3600


@dataclass
class Tower:
    """A beacon node over the site's chain, and those who ask it. Time is the beacon chain's, plus `late` seconds."""

    site: Site
    server: BeaconServer
    proxies: list[LyingProxy]
    checkpoint: Hash32
    numbered: Height
    state: Path
    faults: list[EndpointFault] = field(default_factory=list)
    late: int = 0
    clock: float = 0.0

    @property
    def named(self) -> set[str]:
        return {fault.reason for fault in self.faults}

    def now(self) -> float:
        return float(self.server.time + self.late)

    def beacon(self) -> Beacon:
        return Beacon((self.server.url,), self.server.config, self.checkpoint, self.state, SEAL, MAX_AGE)

    @asynccontextmanager
    async def adapter(self) -> AsyncIterator[EvmAdapter]:
        adapter = EvmAdapter(
            self.site.recipe,
            Endpoints(tuple(proxy.url for proxy in self.proxies), 2, self.beacon()),
            self.faults.append,
            limits=Limits(seconds=10.0, answer_bytes=1 << 20),
            quarantine=Quarantine(0.1, 0.1, 0.1),
            now=self.now,
        )
        async with adapter:
            yield adapter

    @asynccontextmanager
    async def client(
        self, *others: BeaconServer, beacon: Beacon | None = None, seconds: float = 10.0
    ) -> AsyncIterator[LightClient]:
        """A light client that looks only when it is told to."""
        session = open_session()
        limits = Limits(seconds, answer_bytes=1 << 20)
        nodes = [
            Endpoint(session, server.url, f"beacon {at}", limits) for at, server in enumerate([self.server, *others])
        ]
        pool = EndpointPool(CHAIN_ID, nodes, self.faults.append, lambda: self.clock)
        async with session:
            yield LightClient(CHAIN_ID, beacon or self.beacon(), pool, self.faults.append, self.now)

    async def look(self, client: LightClient) -> None:
        """One look of `client`, when nobody is set aside any more."""
        self.clock += 1e6
        await client.look()

    def another(self) -> BeaconServer:
        """Another beacon node of the same chain."""
        return BeaconServer(self.site.url, self.server.config, self.numbered)

    def final_height(self) -> int:
        return self.site.height - FINALITY


@asynccontextmanager
async def tower(site: Site, state: Path, fork: Fork = Fork.ELECTRA) -> AsyncIterator[Tower]:
    height = Height(site.height)
    network = simulated_network(height, UnixSeconds(site.chain.now()), fork)
    async with (
        BeaconServer(site.url, network, height) as server,
        LyingProxy(site.url) as one,
        LyingProxy(site.url) as two,
        LyingProxy(site.url) as three,
    ):
        yield Tower(site, server, [one, two, three], await server.checkpoint(), height, state / "light-client.json")


@pytest.fixture
async def over(site: Site, tmp_path: Path) -> AsyncIterator[Tower]:
    async with tower(site, tmp_path) as found:
        yield found


async def newest(adapter: EvmAdapter) -> tuple[Cut, ChainDelta]:
    (cut,) = await adapter.final_cuts(Height(0), 1)
    return cut, await adapter.delta(None, cut)


async def cut_at(adapter: EvmAdapter, height: int, known_by: Assurance) -> tuple[Cut, ChainDelta]:
    """The newest cut once it is at `height` and known so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            cut, delta = await newest(adapter)
            if cut.height == height and delta.assurance is known_by:
                return cut, delta
            await asyncio.sleep(0.1)


# === What it is for ===


@pytest.mark.parametrize("fork", [Fork.ELECTRA, Fork.GLOAS], ids=lambda fork: fork.name)
async def test_facts_are_proven_down_to_the_consensus_of_the_chain(site: Site, tmp_path: Path, fork: Fork) -> None:
    async with tower(site, tmp_path, fork) as over, over.adapter() as adapter:
        site.deposit(ALICE, NATIVE_COIN, 1000)
        site.post(2000 * 10**8)
        site.settle()
        site.mine()
        below = 1 if fork is Fork.GLOAS else 0  # there a beacon block tells its parent's execution block
        cut, delta = await cut_at(adapter, over.final_height() - below, Assurance.PROVEN)
        assert delta.accounts[ALICE].balances == {NATIVE_COIN: 1000}
        (quote,) = await adapter.quotes()
        assert quote.assurance is Assurance.PROVEN
        assert quote.cut == cut
        for older in await adapter.final_cuts(Height(0), 8):
            assert (await adapter.delta(None, older)).assurance is Assurance.PROVEN, "by its descendants' parent hashes"
        assert not over.faults
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing of it goes on"


async def test_one_honest_endpoint_is_enough_where_two_liars_would_have_been_believed(over: Tower) -> None:
    for liar in over.proxies[:2]:
        liar.lie = Lie.FORGED_HEADER
    over.site.mine()
    async with over.adapter() as adapter:
        cut, _ = await cut_at(adapter, over.final_height(), Assurance.PROVEN)
        assert cut.block_hash == bytes(over.site.chain.web3.eth.get_block(cut.height)["hash"])
    assert "WRONG_HEADER" in over.named


async def test_a_quorum_that_denies_what_is_proven_is_not_followed(over: Tower) -> None:
    async with over.adapter() as adapter:
        await cut_at(adapter, over.final_height(), Assurance.PROVEN)
    for liar in over.proxies:
        liar.lie = Lie.FORGED_HEADER
    over.late = 10 * MAX_AGE
    async with over.adapter() as adapter:
        assert (
            await eventually_refused(adapter)
            == "A quorum of endpoints denies the final block that the light client has proven"
        )


async def eventually_refused(adapter: EvmAdapter) -> str:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await newest(adapter)
            except QuorumError as error:
                return error.message
            except (RetryError, ProofError):
                pass
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "lie", [BeaconLie.STALE, BeaconLie.BAD_SIGNATURE, BeaconLie.HTTP_500], ids=lambda lie: lie.name.lower()
)
async def test_without_its_beacon_node_a_quorum_attests_until_it_is_back(over: Tower, lie: BeaconLie) -> None:
    async with over.adapter() as adapter:
        proven, _ = await cut_at(adapter, over.final_height(), Assurance.PROVEN)
        over.server.lie = lie
        over.site.deposit(BOB, NATIVE_COIN, 7)
        over.site.mine(5)
        assert (await newest(adapter))[0] == proven, "behind, but within the bound"

        over.late = MAX_AGE + 1
        _, delta = await cut_at(adapter, over.final_height(), Assurance.ATTESTED)
        assert delta.accounts[BOB].balances == {NATIVE_COIN: 7}
        assert "LIGHT_CLIENT_BEHIND" in over.named
        assert (await adapter.delta(None, proven)).assurance is Assurance.PROVEN, "what is proven stays so"

        over.server.lie, over.late = None, 0
        over.site.mine()
        await cut_at(adapter, over.final_height(), Assurance.PROVEN)


async def test_when_its_only_beacon_node_dies_a_quorum_attests(over: Tower) -> None:
    async with over.adapter() as adapter:
        await cut_at(adapter, over.final_height(), Assurance.PROVEN)
        await over.server.__aexit__(None, None, None)
        over.site.mine(5)
        over.late = MAX_AGE + 1
        await cut_at(adapter, over.final_height(), Assurance.ATTESTED)
        async with asyncio.timeout(PATIENCE):
            while "UNREACHABLE" not in over.named:  # noqa: ASYNC110 - nobody tells when
                await asyncio.sleep(0.05)


async def test_a_checkpoint_that_is_too_old_is_refused_and_a_quorum_attests(over: Tower) -> None:
    over.late = 15 * DAY
    async with over.adapter() as adapter:
        await cut_at(adapter, over.final_height(), Assurance.ATTESTED)
        async with asyncio.timeout(PATIENCE):
            while not over.named:  # noqa: ASYNC110 - nobody tells when
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)
    assert over.server.requests["bootstrap"] == 1
    (fault,) = over.faults
    assert fault.reason == "CHECKPOINT_TOO_OLD"
    assert "15.0 days old" in fault.detail
    assert "name the root of a newer finalized beacon block" in fault.detail


# === Lies ===

REASONS = {
    BeaconLie.BAD_SIGNATURE: ("BAD_PROOF", "signature does not hold"),
    BeaconLie.WRONG_FORK: ("BAD_PROOF", "signature does not hold"),
    BeaconLie.WRONG_COMMITTEE: ("BAD_PROOF", "signature does not hold"),
    BeaconLie.FEW_SIGNERS: ("LOW_PARTICIPATION", "two thirds"),
    BeaconLie.WRONG_BRANCH: ("BAD_PROOF", "does not prove the final header"),
    BeaconLie.FORGED_BLOCK: ("BAD_PROOF", "does not prove the execution block"),
    BeaconLie.FORKED: ("LOW_PARTICIPATION", "two thirds"),
    BeaconLie.NEWER_FORK: ("UNKNOWN_FORK", "is there a newer release"),
    BeaconLie.UNWRAPPED: ("MALFORMED_ANSWER", "wrapper"),
    BeaconLie.RATE_LIMITED: ("RATE_LIMITED", "fewer requests"),
    BeaconLie.NOT_FOUND: ("HTTP_ERROR", "404"),
    BeaconLie.HTTP_500: ("HTTP_ERROR", "500"),
    BeaconLie.NOT_JSON: ("MALFORMED_ANSWER", "not JSON"),
    BeaconLie.TRUNCATED: ("UNREACHABLE", "hung up"),
    BeaconLie.OVERSIZED: ("OVERSIZED", "more than is allowed"),
    BeaconLie.HANG: ("TIMEOUT", "in time"),
}


@pytest.mark.parametrize("lie", REASONS, ids=lambda lie: lie.name.lower())
async def test_a_beacon_node_that_lies_is_named_and_moves_nothing(over: Tower, lie: BeaconLie) -> None:
    async with over.client(seconds=2.0 if lie is BeaconLie.HANG else 10.0) as client:
        await over.look(client)
        held = client.final
        over.site.mine(3)
        over.server.lie = lie
        await over.look(client)
        assert client.final == held
        (fault,) = over.faults
        assert (fault.endpoint, fault.reason) == ("beacon 0", REASONS[lie][0])
        assert REASONS[lie][1] in fault.detail
        over.server.lie = None
        await over.look(client)
        assert client.final is not None
        assert client.final.number == over.final_height()


@pytest.mark.parametrize(
    "lie", [BeaconLie.BAD_SIGNATURE, BeaconLie.WRONG_COMMITTEE, BeaconLie.FEW_SIGNERS, BeaconLie.NOT_JSON]
)
async def test_a_lie_about_past_periods_leads_nowhere_and_another_node_is_asked(over: Tower, lie: BeaconLie) -> None:
    async with over.another() as honest, over.client(honest) as client:
        await over.look(client)
        over.site.chain.pass_to(over.site.chain.now() + 3 * PERIOD)
        over.site.settle()
        over.server.lie = lie
        await over.server.checkpoint()  # it has looked at the chain: time goes on
        await over.look(client)
        assert client.final is not None
        assert client.final.number == over.final_height()
        assert {fault.endpoint for fault in over.faults} == {"beacon 0"}


async def test_whoever_begins_elsewhere_is_not_followed(over: Tower) -> None:
    over.server.lie = BeaconLie.OTHER_CHECKPOINT
    async with over.client() as client:
        with pytest.raises(ProofError, match="not for the trusted block"):
            await over.look(client)
        assert client.final is None
        assert over.named == {"WRONG_VALUE"}
        over.server.lie = None
        await over.look(client)
        assert client.final is not None


async def test_of_two_nodes_the_one_that_stays_behind_is_named(over: Tower) -> None:
    async with over.another() as other, over.client(other) as client:
        await over.look(client)
        other.lie = BeaconLie.STALE
        await over.look(client)
        over.site.mine(30)
        await over.look(client)
        assert client.final is not None
        assert client.final.number == over.final_height()
        assert [(fault.endpoint, fault.reason) for fault in over.faults] == [("beacon 1", "STALE_HEAD")]


# === Time ===


async def test_periods_are_followed_one_by_one_and_a_restart_resumes_where_it_was(over: Tower) -> None:
    async with over.client() as client:
        await over.look(client)
        for _ in range(2):
            over.site.chain.pass_to(over.site.chain.now() + 5 * PERIOD)
            over.site.settle()
            await over.server.checkpoint()
            await over.look(client)
            assert client.final is not None
            assert client.final.number == over.final_height()
        held = client.store
    before = over.server.requests["bootstrap"]
    async with over.client() as client:
        await over.look(client)
        assert client.store == held
        assert over.server.requests["bootstrap"] == before
    async with over.client(beacon=replace(over.beacon(), checkpoint=await over.server.checkpoint())) as client:
        await over.look(client)
        assert over.server.requests["bootstrap"] == before + 1, "another checkpoint begins anew"
        assert client.final is not None
    assert over.named == {"STATE_REFUSED"}

"""A real chain, the real contracts, a real outbox: every statement gets there once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.types import Wei

from chains.errors import ConfigError
from chains.evm.contracts import ContractName, artifact
from chains.proofs.keccak import keccak
from chains.types import NATIVE_COIN, AccountId, Address, Amount, ChainId, Hash32
from node.attestation.statements import STATE_PURPOSE, Statement
from node.model.digests import Release, ReleaseItem, ReleaseKind, state_digest
from node.model.signatures import pack, sign_compact
from node.model.transactions import TxStatus
from node.relay.calls import Job
from node.relay.ports import Turn
from node.relay.relayer import MAX_FEE_WEI, MAX_RAISES, ChainRelay, RelayTiming
from node.store.sqlite.store import SqliteStore, initialise, open_store
from node.testnet.ports import free_port
from tests import kit
from tests.tools import anvil

CHAIN = ChainId(31_337)
KEY = keccak(b"who pays for transactions")
SECOND_KEY = keccak(b"who would pay as well")
NETWORK = kit.network()
ACCOUNT = kit.Owner().account
NOTHING = Amount(0)
PAYEE = kit.address("demo payee")
FAST = RelayTiming(stagger=0.0, poll=0.02, raise_after=60.0, retry=0.05)


class Events:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.faults: list[dict[str, object]] = []

    def count(self, event: str, **_: object) -> None:
        self.seen.append(event)

    def fault(self, event: str, error: BaseException, **labels: object) -> None:
        self.seen.append(event)
        self.faults.append(labels)


@dataclass
class Site:
    """One chain with a verifier and a vault that holds 10 ether of one account."""

    url: str
    web3: AsyncWeb3[AsyncHTTPProvider]
    verifier: Address = NATIVE_COIN
    vault: Address = NATIVE_COIN
    events: Events = field(default_factory=Events)

    async def rpc(self, method: str, *params: object) -> Any:  # noqa: ANN401
        answer = await self.web3.provider.make_request(method, list(params))
        assert "error" not in answer, answer
        return answer.get("result")

    async def deploy(self, name: ContractName, *arguments: object) -> Address:
        built = artifact(name)
        sender = (await self.web3.eth.accounts)[0]
        factory = self.web3.eth.contract(abi=built.abi, bytecode=built.bytecode)
        receipt = await self.web3.eth.wait_for_transaction_receipt(
            await factory.constructor(*arguments).transact({"from": sender}), poll_latency=0.01
        )
        assert receipt["contractAddress"] is not None
        return Address(bytes.fromhex(receipt["contractAddress"][2:]))

    async def prepare(self) -> None:
        signers = [to_checksum_address(signer) for signer in NETWORK.signers]
        self.verifier = await self.deploy("StateVerifier", NETWORK.digest, NETWORK.f, signers)
        self.vault = await self.deploy(
            "CollateralVault",
            to_checksum_address(self.verifier),
            NETWORK.network_id,
            [to_checksum_address(NATIVE_COIN)],
            [2**112 - 1],
            3600,
            86_400,
            86_400,
        )
        sender = (await self.web3.eth.accounts)[0]
        vault = self.web3.eth.contract(address=to_checksum_address(self.vault), abi=artifact("CollateralVault").abi)
        await vault.functions.depositNative(ACCOUNT).transact({"from": sender, "value": Wei(10 * kit.ETHER)})
        for key in (KEY, SECOND_KEY):
            await self.rpc("anvil_setBalance", Account.from_key(key).address, hex(100 * kit.ETHER))

    async def final(self) -> None:
        """Mine what waits, and enough on top for it to be final."""
        await self.rpc("anvil_mine", "0x4")

    async def coins(self, holder: Address) -> int:
        return await self.web3.eth.get_balance(to_checksum_address(holder))

    async def sent_by(self, key: bytes) -> int:
        return await self.web3.eth.get_transaction_count(Account.from_key(key).address)

    def state_job(self, sequence: int, signers: tuple[int, ...] = (0, 1)) -> Job:
        header, time_ms = Hash32(keccak(b"header %d" % sequence)), 1_000_000 + sequence
        digest = state_digest(NETWORK.digest, CHAIN, self.verifier, sequence, header, time_ms)
        statement = Statement(
            sequence, STATE_PURPOSE, CHAIN, self.verifier, AccountId(bytes(32)), digest, NETWORK.weak_quorum, None
        )
        return Job(statement, packed(digest, signers), header, time_ms)

    async def release_job(
        self,
        kind: ReleaseKind = ReleaseKind.SEIZURE,
        nonce: int = 1,
        signers: tuple[int, ...] = (0, 1, 3),
        minimum: Amount = NOTHING,
    ) -> Job:
        block = await self.web3.eth.get_block("latest")
        release = Release(
            kind,
            CHAIN,
            self.vault,
            ACCOUNT,
            nonce,
            PAYEE,
            (ReleaseItem(NATIVE_COIN, Amount(kit.ETHER), minimum),),
            Hash32(b"r" * 32),
            5,
            Hash32(b"h" * 32),
            block["timestamp"] + 3600,
        )
        digest = release.digest(NETWORK.digest)
        statement = Statement(5, kind.value, CHAIN, self.vault, ACCOUNT, digest, NETWORK.quorum, release)
        return Job(statement, packed(digest, signers), release.header_hash, 0)


def packed(digest: Hash32, signers: tuple[int, ...]) -> bytes:
    return pack({node: sign_compact(kit.key(f"node {node}"), digest) for node in signers}, len(signers))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with anvil(CHAIN, "--slots-in-an-epoch", "1") as url:
        provider = AsyncHTTPProvider(url)
        made = Site(url, AsyncWeb3(provider))
        await made.prepare()
        yield made
        await provider.disconnect()


_initialised: set[Path] = set()


@asynccontextmanager
async def relaying(
    site: Site,
    path: Path,
    key: bytes = KEY,
    me: int = 0,
    timing: RelayTiming = FAST,
    url: str = "",
    max_fee_wei: int = MAX_FEE_WEI,
) -> AsyncIterator[tuple[ChainRelay, SqliteStore]]:
    if path not in _initialised:
        _initialised.add(path)
        initialise(path, NETWORK.network_id)
    async with open_store(path, NETWORK.network_id) as store:
        turn = Turn(me, NETWORK.n)
        made = ChainRelay(CHAIN, url or site.url, key, store.outbox, turn, site.events, timing, max_fee_wei)
        async with made as relay:
            yield relay, store


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(500):
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came about")


async def finish(site: Site, relay: ChainRelay) -> None:
    """Mine until nothing is under way."""
    idle = asyncio.create_task(relay.idle())
    while not idle.done():
        await site.final()
        await asyncio.sleep(0.05)


async def test_a_state_and_a_seizure_are_carried_out_and_settled(site: Site, tmp_path: Path) -> None:
    state, seizure = site.state_job(5), await site.release_job()
    async with relaying(site, tmp_path / "store") as (relay, store):
        relay.submit(state)
        relay.submit(seizure)
        await finish(site, relay)
        for job in (state, seizure):
            kept = await store.outbox.get(CHAIN, job.purpose)
            assert kept is not None
            assert kept.status is TxStatus.CONFIRMED
    assert await site.coins(PAYEE) == kit.ETHER
    verifier = site.web3.eth.contract(address=to_checksum_address(site.verifier), abi=artifact("StateVerifier").abi)
    assert (await verifier.functions.latest().call())[0] == 5
    assert await site.sent_by(KEY) == 2


async def test_a_withdrawal_pays_its_recipient(site: Site, tmp_path: Path) -> None:
    async with relaying(site, tmp_path / "store") as (relay, _):
        relay.submit(await site.release_job(ReleaseKind.WITHDRAWAL))
        await finish(site, relay)
    assert await site.coins(PAYEE) == kit.ETHER


async def test_what_was_written_down_before_a_crash_is_sent_again_and_not_made_anew(site: Site, tmp_path: Path) -> None:
    await site.rpc("evm_setAutomine", False)
    job = await site.release_job()
    async with relaying(site, tmp_path / "store") as (relay, store):
        relay.submit(job)
        await until(lambda: "relay.submitted" in site.events.seen)
        before = await store.outbox.get(CHAIN, job.purpose)
    assert before is not None
    await site.rpc("anvil_dropAllTransactions")
    await site.rpc("evm_setAutomine", True)
    async with relaying(site, tmp_path / "store") as (relay, store):
        relay.submit(job)
        await finish(site, relay)
        after = await store.outbox.get(CHAIN, job.purpose)
    assert after is not None
    assert after.attempts == before.attempts
    assert await site.web3.eth.get_transaction_receipt(HexBytes(before.attempts[0].tx_hash))
    assert await site.sent_by(KEY) == 1
    assert await site.coins(PAYEE) == kit.ETHER


async def test_a_settled_job_is_not_done_again_after_a_restart(site: Site, tmp_path: Path) -> None:
    job = await site.release_job()
    for _ in range(2):
        async with relaying(site, tmp_path / "store") as (relay, _):
            relay.submit(job)
            relay.submit(job)
            await finish(site, relay)
    assert await site.sent_by(KEY) == 1


async def test_a_node_whose_turn_comes_later_does_not_pay_for_what_is_done(site: Site, tmp_path: Path) -> None:
    job = await site.release_job()
    order = sorted(range(NETWORK.n), key=lambda node: Turn(node, NETWORK.n).position(job.purpose))
    patient = RelayTiming(stagger=0.5, poll=0.02, retry=0.05)
    async with (
        relaying(site, tmp_path / "first", KEY, order[0], patient) as (first, _),
        relaying(site, tmp_path / "second", SECOND_KEY, order[1], patient) as (second, _),
    ):
        second.submit(job)
        first.submit(job)
        await asyncio.gather(finish(site, first), finish(site, second))
    assert (await site.sent_by(KEY), await site.sent_by(SECOND_KEY)) == (1, 0)


async def test_the_next_node_takes_over_when_the_first_does_nothing(site: Site, tmp_path: Path) -> None:
    job = await site.release_job()
    last = max(range(NETWORK.n), key=lambda node: Turn(node, NETWORK.n).position(job.purpose))
    async with relaying(site, tmp_path / "store", me=last, timing=RelayTiming(0.1, 0.02, 60, 0.05)) as (relay, _):
        relay.submit(job)
        await finish(site, relay)
    assert await site.coins(PAYEE) == kit.ETHER


async def test_what_the_contract_would_refuse_is_not_sent(site: Site, tmp_path: Path) -> None:
    job = await site.release_job(signers=(0, 1))
    async with relaying(site, tmp_path / "store") as (relay, store):
        relay.submit(job)
        await relay.idle()
        assert await store.outbox.get(CHAIN, job.purpose) is None
    assert site.events.seen == ["relay.reverts"]
    assert site.events.faults[0]["refusal"] == "WrongSignatureCount(given=2, required=3)"
    assert await site.sent_by(KEY) == 0


async def test_a_release_waits_where_the_vault_would_pay_less_than_it_must(site: Site, tmp_path: Path) -> None:
    job = await site.release_job(minimum=Amount(kit.ETHER))
    vault = to_checksum_address(site.vault)
    async with relaying(site, tmp_path / "store") as (relay, _):
        await site.rpc("anvil_setBalance", vault, hex(5 * kit.ETHER))
        for _ in range(2):  # as often as it is offered
            relay.submit(job)
            await relay.idle()
        assert await site.sent_by(KEY) == 0
        await site.rpc("anvil_setBalance", vault, hex(10 * kit.ETHER))
        relay.submit(job)
        await finish(site, relay)
    assert await site.coins(PAYEE) == kit.ETHER
    told = f"ShortPayment(token=0x{bytes(20).hex()}, pays={kit.ETHER // 2}, minimum={kit.ETHER})"
    assert [fault["refusal"] for fault in site.events.faults] == [told] * 2
    assert site.events.faults[0]["account"] == ACCOUNT.hex()


async def test_a_transaction_that_is_not_mined_is_offered_a_higher_fee_with_the_same_nonce(
    site: Site, tmp_path: Path
) -> None:
    await site.rpc("evm_setAutomine", False)
    job = site.state_job(7)
    async with relaying(site, tmp_path / "store", timing=RelayTiming(0, 0.02, 0.3, 0.05)) as (relay, store):
        relay.submit(job)
        await until(lambda: site.events.seen.count("relay.fee_raised") >= 1)
        await finish(site, relay)
        kept = await store.outbox.get(CHAIN, job.purpose)
    assert kept is not None
    assert kept.status is TxStatus.CONFIRMED
    assert len(kept.attempts) >= 2
    assert await site.sent_by(KEY) == 1


@asynccontextmanager
async def forwarding(site: Site, port: int) -> AsyncIterator[None]:
    """The site's endpoint on another port, for as long as this lasts."""
    target = int(site.url.rpartition(":")[2])

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", target)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def test_an_endpoint_that_is_away_is_tried_again(site: Site, tmp_path: Path) -> None:
    port = free_port()
    async with relaying(site, tmp_path / "store", url=f"http://127.0.0.1:{port}") as (relay, _):
        relay.submit(await site.release_job())
        await until(lambda: "relay.retry" in site.events.seen)
        async with forwarding(site, port):
            await finish(site, relay)
    assert await site.coins(PAYEE) == kit.ETHER


async def test_nodes_take_turns_again_when_an_endpoint_comes_back(site: Site, tmp_path: Path) -> None:
    port = free_port()
    job = await site.release_job()
    order = sorted(range(NETWORK.n), key=lambda node: Turn(node, NETWORK.n).position(job.purpose))
    timing = RelayTiming(stagger=0.5, poll=0.02, retry=0.05)
    url = f"http://127.0.0.1:{port}"
    async with (
        relaying(site, tmp_path / "first", KEY, order[0], timing, url) as (first, _),
        relaying(site, tmp_path / "second", SECOND_KEY, order[1], timing, url) as (second, _),
    ):
        second.submit(job)
        first.submit(job)
        await asyncio.sleep(1.0)  # longer than all turns together: both would pay at once
        async with forwarding(site, port):
            await asyncio.gather(finish(site, first), finish(site, second))
    assert (await site.sent_by(KEY), await site.sent_by(SECOND_KEY)) == (1, 0)


async def test_states_that_piled_up_while_an_endpoint_was_away_are_not_all_paid_for(site: Site, tmp_path: Path) -> None:
    port = free_port()
    async with relaying(site, tmp_path / "store", url=f"http://127.0.0.1:{port}") as (relay, _):
        for sequence in range(5, 9):
            relay.submit(site.state_job(sequence))
        await until(lambda: site.events.seen.count("relay.retry") >= 4)
        async with forwarding(site, port):
            await finish(site, relay)
    verifier = site.web3.eth.contract(address=to_checksum_address(site.verifier), abi=artifact("StateVerifier").abi)
    assert (await verifier.functions.latest().call())[0] == 8
    assert await site.sent_by(KEY) == 1


async def test_a_chain_that_halts_does_not_drive_the_fee_up_without_end(site: Site, tmp_path: Path) -> None:
    await site.rpc("evm_setAutomine", False)
    job = site.state_job(7)
    async with relaying(site, tmp_path / "store", timing=RelayTiming(0, 0.02, 0.03, 0.05)) as (relay, store):
        relay.submit(job)
        await until(lambda: site.events.seen.count("relay.fee_raised") >= MAX_RAISES)
        await until(lambda: site.events.seen.count("relay.send_refused") >= 3)  # the same again: known already
        kept = await store.outbox.get(CHAIN, job.purpose)
        assert kept is not None
        assert len(kept.attempts) == 1 + MAX_RAISES
        await finish(site, relay)
    assert await site.sent_by(KEY) == 1


async def test_no_more_is_paid_than_the_operator_says_whatever_the_endpoint_suggests(
    site: Site, tmp_path: Path
) -> None:
    most = 3 * 10**9
    await site.rpc("evm_setAutomine", False)
    job = site.state_job(7)
    slow = RelayTiming(0, 0.02, 0.1, 0.05)
    async with relaying(site, tmp_path / "store", timing=slow, max_fee_wei=most) as (relay, store):
        relay.submit(job)
        await until(lambda: "relay.send_refused" in site.events.seen)
        kept = await store.outbox.get(CHAIN, job.purpose)
        assert kept is not None
        fees = [TypedTransaction.from_bytes(HexBytes(attempt.raw)).as_dict() for attempt in kept.attempts]
        assert max(fields["maxFeePerGas"] for fields in fees) <= most
        await finish(site, relay)
    assert await site.sent_by(KEY) == 1


async def test_a_job_that_fails_for_another_reason_is_heard_of(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ConfigError("a mistake of ours")

    async with relaying(site, tmp_path / "store") as (relay, store):
        monkeypatch.setattr(store.outbox, "settle", fail)
        relay.submit(site.state_job(5))
        await finish(site, relay)
    assert site.events.seen[-1] == "relay.job_failed"

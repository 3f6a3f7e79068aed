"""One local chain: anvil, proxies before it, and wallets that send to it.

Owns the chain's life and the sending of transactions. Must not know what is deployed on it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.contract import AsyncContract
from web3.contract.async_contract import AsyncContractConstructor, AsyncContractFunction
from web3.types import Nonce, RPCEndpoint, TxParams, TxReceipt, Wei

from chains.errors import RetryError
from chains.evm.contracts import Artifact
from chains.evm.proxy import LyingProxy
from chains.types import Address, ChainId
from node.relay.endpoint import HttpProvider, NotMined, asked
from node.testnet.errors import ProcessDied, TransactionFailed
from node.testnet.ports import HOST, ChainPorts
from node.testnet.processes import Child
from node.testnet.waiting import until

ETHER = 10**18
BLOCK_SECONDS = 1
_FUNDS = 100 * ETHER
_GAS = 6_000_000
"""Given outright: what fails is then mined, and its receipt says so."""
_GWEI = 10**9
_START_S = 20.0
_MINED_S = 20.0


class Wallet:
    """A key with coins on one chain; sends one transaction after another."""

    def __init__(self, web3: AsyncWeb3[HttpProvider], chain_id: int, key: bytes) -> None:
        self._account: LocalAccount = Account.from_key(key)
        self._web3 = web3
        self._chain_id = chain_id
        self._nonce = 0
        self._sending = asyncio.Lock()

    @property
    def address(self) -> Address:
        return Address(bytes.fromhex(self._account.address[2:]))

    @property
    def checksum(self) -> ChecksumAddress:
        """The address as web3 wants it."""
        return to_checksum_address(self.address)

    async def deploy(self, built: Artifact, *arguments: object) -> AsyncContract:
        """A new instance of a contract. Raises TransactionFailed, NotInTime."""
        made = self._web3.eth.contract(abi=built.abi, bytecode=built.bytecode).constructor(*arguments)
        receipt = await self._mined(await self._send(made, 0), f"the deployment of {built.name}")
        address = receipt["contractAddress"]
        assert address is not None  # noqa: S101 - a deployment's receipt has it
        return self._web3.eth.contract(address, abi=built.abi)

    async def send(self, call: AsyncContractFunction, value: int = 0) -> TxReceipt:
        """Send a call and wait until it is mined. Raises TransactionFailed, NotInTime."""
        return await self._mined(await self._send(call, value), call.fn_name)

    async def _send(self, call: AsyncContractFunction | AsyncContractConstructor, value: int) -> HexBytes:
        async with self._sending:
            fields: TxParams = {
                "chainId": self._chain_id,
                "nonce": Nonce(self._nonce),
                "gas": _GAS,
                "value": Wei(value),
                "maxFeePerGas": Wei(100 * _GWEI),
                "maxPriorityFeePerGas": Wei(_GWEI),
            }
            signed = self._account.sign_transaction(await call.build_transaction(fields))  # type: ignore[arg-type]
            sent = await asked(self._web3.eth.send_raw_transaction(signed.raw_transaction))
            self._nonce += 1
            return sent

    async def _mined(self, sent: HexBytes, what: str) -> TxReceipt:
        receipt = await until(
            lambda: self._receipt(sent), f"for {what} to be mined", within=_MINED_S, every=0.05, chain_id=self._chain_id
        )
        if receipt["status"] != 1:
            raise TransactionFailed("the contract refused the call", chain_id=self._chain_id, call=what, tx=sent.hex())
        return receipt

    async def _receipt(self, sent: HexBytes) -> TxReceipt | None:
        try:
            return await asked(self._web3.eth.get_transaction_receipt(sent))
        except NotMined:
            return None


@dataclass(frozen=True, slots=True)
class LocalChain:
    """A running chain. `url` is anvil itself; `proxies` stand before it and are honest until told to lie."""

    name: str
    chain_id: ChainId
    url: str
    process: Child
    proxies: tuple[LyingProxy, ...]
    web3: AsyncWeb3[HttpProvider]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """What nodes are told to ask."""
        return (self.url, *(proxy.url for proxy in self.proxies))

    async def wallet(self, key: bytes | None = None) -> Wallet:
        """A wallet with coins, for a new key unless one is given."""
        wallet = Wallet(self.web3, self.chain_id, key or secrets.token_bytes(32))
        await self.fund(wallet.address)
        return wallet

    async def fund(self, *addresses: Address) -> None:
        """Give coins out of anvil's first account, by transactions.

        `anvil_setBalance` would change the latest block's state behind the back of its state root, and no proof at that
        block would hold.
        """
        rich = (await self.web3.eth.accounts)[0]
        for address in addresses:
            payment: TxParams = {"from": rich, "to": to_checksum_address(address), "value": Wei(_FUNDS)}
            sent = await asked(self.web3.eth.send_transaction(payment))
            await asked(self.web3.eth.wait_for_transaction_receipt(sent, _MINED_S, 0.02))

    async def begin_time(self) -> None:
        """From now on a block a second instead of one for each transaction."""
        await self.rpc("evm_setIntervalMining", BLOCK_SECONDS)

    async def height(self) -> int:
        return int(await asked(self.web3.eth.block_number))

    async def rpc(self, method: str, *params: object) -> Any:  # noqa: ANN401 - what JSON-RPC gives
        """One raw call. Raises RetryError when anvil refuses it."""
        response: Mapping[str, Any] = await self.web3.provider.make_request(RPCEndpoint(method), list(params))
        if "error" in response:
            raise RetryError("anvil refused a call", chain_id=self.chain_id, method=method, error=response["error"])
        return response["result"]


@asynccontextmanager
async def run_chain(name: str, chain_id: ChainId, ports: ChainPorts, process: Child) -> AsyncIterator[LocalChain]:
    """Start `process` (made with `anvil_command`), wait until it answers, and put the proxies before it."""
    url = f"http://{HOST}:{ports.rpc}"
    async with AsyncExitStack() as opened:
        opened.push_async_callback(process.kill)  # it has nothing to save
        await process.start()
        await _answering(url, process)
        proxies = [await opened.enter_async_context(LyingProxy(url, host=HOST, port=port)) for port in ports.proxies]
        provider = HttpProvider(url)
        opened.push_async_callback(provider.disconnect)
        yield LocalChain(name, chain_id, url, process, tuple(proxies), AsyncWeb3(provider))


def anvil_command(binary: Path, chain_id: ChainId, ports: ChainPorts) -> list[str | Path]:
    """A block is final when two more stand on it; a transaction is a block until `begin_time`."""
    options = ("--host", HOST, "--port", str(ports.rpc), "--chain-id", str(chain_id), "--slots-in-an-epoch", "1")
    return [binary, *options]


async def _answering(url: str, process: Child) -> None:
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    async with aiohttp.ClientSession() as session:

        async def answer() -> bytes | None:
            try:
                async with session.post(url, json=question) as response:
                    return await response.read()
            except aiohttp.ClientError:
                if not process.running:
                    raise ProcessDied(f"{process.name} did not start", process.tail(), log=process.log) from None
                return None

        await until(answer, f"for {process.name} to answer", within=_START_S, every=0.02)

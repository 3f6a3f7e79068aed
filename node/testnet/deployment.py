"""What the network needs on each chain, deployed: verifier, vault, price feeds and tokens.

Owns the demo's market (which assets, where, at what price) and the contracts' parameters. Must not know nodes' files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_utils.address import to_checksum_address
from web3.contract import AsyncContract

from chains.evm.contracts import artifact
from chains.proofs.keccak import keccak
from chains.types import NATIVE_COIN, Address, ChainId, Hash32
from node.model.network import Network
from node.testnet.chain import LocalChain, Wallet

PRICE_DECIMALS = 8
_HOUR, _DAY = 3_600, 86_400
OUTFLOW_CAP = 2**112 - 1  # none worth mentioning: the demo moves most of what there is


@dataclass(frozen=True, slots=True)
class DemoAsset:
    """An asset of the demo; `token_decimals` of the ERC-20 that stands for it where it is not the native coin."""

    id: str
    start_usd: int
    token_decimals: int


ETH = DemoAsset("ETH", 3_000, 18)
BTC = DemoAsset("BTC", 60_000, 8)
ASSETS = (ETH, BTC)
VOLATILITY = "ETH-VOL"
"""The index of ETH's volatility: each chain has a feed of it, as of each asset's price."""
FIRST_ANSWERS: Mapping[str, int] = {asset.id: asset.start_usd * 10**PRICE_DECIMALS for asset in ASSETS} | {
    VOLATILITY: 6 * 10**7
}
"""Of every feed, with PRICE_DECIMALS; the volatility is 0.6 a year."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The contracts on one chain. The native coin is ETH, the token the other asset."""

    chain: LocalChain
    verifier: AsyncContract
    vault: AsyncContract
    token: AsyncContract
    feeds: Mapping[str, AsyncContract]
    """By asset, and the index's."""
    vault_code_hash: Hash32
    token_code_hash: Hash32
    feed_code_hash: Mapping[str, Hash32]
    from_height: int
    treasury: Wallet
    """Deployed everything."""
    oracle: Wallet
    """The only one that may post prices."""

    @property
    def chain_id(self) -> ChainId:
        return self.chain.chain_id

    def place(self, asset: DemoAsset) -> Address:
        """The token that is the asset on this chain."""
        return NATIVE_COIN if asset is ETH else address_of(self.token)


def address_of(contract: AsyncContract) -> Address:
    """A contract's address in our form."""
    return Address(bytes.fromhex(str(contract.address)[2:]))


async def deploy(chain: LocalChain, network: Network) -> Deployment:
    """Everything on one chain, and a first price in each feed. Raises TransactionFailed, NotInTime."""
    treasury, oracle = await chain.wallet(), await chain.wallet()
    signers = [to_checksum_address(signer) for signer in network.signers]
    verifier = await treasury.deploy(artifact("StateVerifier"), network.digest, network.f, signers)
    token = await treasury.deploy(artifact("TestToken"), "Wrapped bitcoin", "WBTC", BTC.token_decimals)
    tokens = [to_checksum_address(NATIVE_COIN), token.address]
    from_height = await chain.height() + 1  # a transaction is a block so far
    vault = await treasury.deploy(
        artifact("CollateralVault"),
        verifier.address,
        network.network_id,
        tokens,
        [OUTFLOW_CAP, OUTFLOW_CAP],
        _HOUR,
        7 * _DAY,
        2 * _DAY,
    )
    feeds = {
        quoted: await treasury.deploy(
            artifact("PriceFeed"), f"{quoted} / USD", PRICE_DECIMALS, to_checksum_address(oracle.address)
        )
        for quoted in FIRST_ANSWERS
    }
    return Deployment(
        chain,
        verifier,
        vault,
        token,
        feeds,
        await _code_hash(chain, vault),
        await _code_hash(chain, token),
        {asset: await _code_hash(chain, feed) for asset, feed in feeds.items()},
        from_height,
        treasury,
        oracle,
    )


async def _code_hash(chain: LocalChain, contract: AsyncContract) -> Hash32:
    return keccak(bytes(await chain.web3.eth.get_code(contract.address)))

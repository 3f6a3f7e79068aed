"""The files of a network: keys, certificates, `network.toml`, `policy.toml`, and a `node.toml` for each node.

    DIR/network.toml  DIR/policy.toml
    DIR/tls/{authority,venue,operator}/…       PEM files
    DIR/node-0/node.toml  keys/  tls/  data/   one folder a node, log.jsonl beside

Owns what stands in them. Must not know processes.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import coincurve
from nacl.signing import SigningKey

from chains.evm.contracts import artifact
from chains.types import NATIVE_COIN, Address, Hash32
from node.config import write_new
from node.model.identity import Identity, Role, TlsMaterial
from node.model.network import Network, NodeKeys
from node.model.signatures import address_of as address_of_key
from node.peers.identity import Authority, create_authority, issue
from node.store.sqlite.store import initialise
from node.testnet.beacon.start import LocalBeacon
from node.testnet.chain import LocalChain
from node.testnet.deployment import (
    ASSETS,
    ETH,
    OUTFLOW_CAP,
    PRICE_DECIMALS,
    VOLATILITY,
    DemoAsset,
    Deployment,
    address_of,
)
from node.testnet.ports import HOST, NodePorts

VENUE = "demo"
"""The demo venue's name, in the policy and in its certificate."""
PUBLISH_S = 10
_STORE = "data/node.sqlite"


@dataclass(frozen=True, slots=True, repr=False)
class NodeSecrets:
    """The private keys of one node, 32 bytes each: ed25519, and two for secp256k1."""

    consensus: bytes
    chain: bytes
    relay: bytes

    @classmethod
    def new(cls) -> NodeSecrets:
        return cls(*(secrets.token_bytes(32) for _ in range(3)))

    @property
    def public(self) -> NodeKeys:
        return NodeKeys(bytes(SigningKey(self.consensus).verify_key), key_address(self.chain))

    @property
    def relay_address(self) -> Address:
        return key_address(self.relay)


def key_address(key: bytes) -> Address:
    """The Ethereum address of a secp256k1 key."""
    return address_of_key(coincurve.PrivateKey(key).public_key)


def new_network(nodes: Sequence[NodeSecrets], round_ms: int) -> Network:
    """A network of these nodes that tolerates as many faults as it can; its policy needs one signer."""
    return Network(
        Hash32(secrets.token_bytes(32)),
        (len(nodes) - 1) // 3,
        round_ms,
        tuple(node.public for node in nodes),
        (key_address(secrets.token_bytes(32)),),
        1,
    )


def node_name(index: int) -> str:
    """Also the first label of its server name."""
    return f"node-{index}"


class NetworkFolder:
    """Writes everything below `folder`, which must be empty or absent. Raises ConfigError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._now = datetime.now(UTC)
        self._authority: Authority = create_authority("testnet", self._now)

    @property
    def network_file(self) -> Path:
        return self.folder / "network.toml"

    @property
    def policy_file(self) -> Path:
        return self.folder / "policy.toml"

    def node(self, index: int) -> Path:
        return self.folder / node_name(index)

    def write_network(self, network: Network) -> None:
        """`network.toml`."""
        self.network_file.write_text(network_toml(network))

    def write_policy(self, deployments: Sequence[Deployment], venue_signer: Address) -> None:
        """`policy.toml`."""
        self.policy_file.write_text(policy_toml(deployments, venue_signer))

    def write_people(self) -> TlsMaterial:
        """The authority, and certificates of the venue (returned) and of an operator."""
        tls = self.folder / "tls"
        write_new(tls / "authority" / "authority.pem", self._authority.certificate)
        write_new(tls / "authority" / "authority-key.pem", self._authority.key, private=True)
        venue = issue(self._authority, Identity(Role.VENUE, VENUE), (), self._now)
        write_material(tls / "venue", venue)
        write_material(tls / "operator", issue(self._authority, Identity(Role.OPERATOR, "operator"), (), self._now))
        return venue

    def write_node(
        self,
        index: int,
        keys: NodeSecrets,
        ports: Sequence[NodePorts],
        chains: Sequence[LocalChain],
        network: Network,
        beacons: Sequence[LocalBeacon] = (),
    ) -> Path:
        """One node's folder with its empty store; returns the path of its `node.toml`."""
        folder = self.node(index)
        for name, key in (("consensus", keys.consensus), ("chain", keys.chain), ("relay", keys.relay)):
            write_new(folder / "keys" / f"{name}.key", key.hex().encode() + b"\n", private=True)
        material = issue(self._authority, Identity(Role.NODE, node_name(index)), ("localhost", HOST), self._now)
        write_material(folder / "tls", material)
        (folder / _STORE).parent.mkdir(parents=True)
        initialise(folder / _STORE, network.network_id)
        (folder / "node.toml").write_text(node_toml(index, ports, chains, beacons))
        return folder / "node.toml"


def write_material(folder: Path, material: TlsMaterial) -> None:
    """`authority.pem`, `certificate.pem` and `key.pem`. Raises ConfigError for a file that is there."""
    write_new(folder / "authority.pem", material.authority)
    write_new(folder / "certificate.pem", material.certificate)
    write_new(folder / "key.pem", material.key, private=True)


# === TOML ===


def _hex(value: bytes) -> str:
    return f'"0x{value.hex()}"'


def network_toml(network: Network) -> str:
    """A network as `config.NetworkFile` reads it."""
    signers = ", ".join(_hex(signer) for signer in network.policy_signers)
    text = f"""schema_version = 1
network_id = {_hex(network.network_id)}
f = {network.f}
round_ms = {network.round_ms}
policy_signers = [{signers}]
policy_threshold = {network.policy_threshold}
"""
    for index, node in enumerate(network.nodes):
        text += f"""
[[nodes]]
name = "{node_name(index)}"
consensus_key = {_hex(node.consensus_key)}
signer = {_hex(node.signer)}
"""
    return text


def node_toml(
    index: int, ports: Sequence[NodePorts], chains: Sequence[LocalChain], beacons: Sequence[LocalBeacon]
) -> str:
    """One node's own file, as `config.NodeFile` reads it."""
    own = ports[index]
    text = f"""schema_version = 1
name = "{node_name(index)}"
index = {index}
data_dir = "data"
network = "../network.toml"
policy = "../policy.toml"
consensus_key = "keys/consensus.key"
chain_key = "keys/chain.key"
{"peers = []" if len(ports) == 1 else ""}
[tls]
authority = "tls/authority.pem"
certificate = "tls/certificate.pem"
key = "tls/key.pem"

[listen]
peers = "{HOST}:{own.peers}"
venues = "{HOST}:{own.venues}"
owners = "{HOST}:{own.owners}"
operator = "{HOST}:{own.operator}"
metrics = "{HOST}:{own.metrics}"

[relay]
key_file = "keys/relay.key"
state_interval_s = {PUBLISH_S}
"""
    for peer, their in enumerate(ports):
        if peer != index:
            text += f"""
[[peers]]
index = {peer}
name = "{node_name(peer)}"
address = "{HOST}:{their.peers}"
"""
    for chain in chains:
        endpoints = ", ".join(f'"{url}"' for url in chain.endpoints)
        text += f"""
[[chains]]
id = {chain.chain_id}
endpoints = [{endpoints}]
quorum = 2
"""
        text += "".join(beacon.toml() for beacon in beacons if beacon.chain_id == chain.chain_id)
    return text


def _storage(item: Deployment, asset: DemoAsset) -> str:
    """By which recipe the asset's token is admitted: nothing for the native coin."""
    if item.place(asset) == NATIVE_COIN:
        return ""
    balances = artifact("TestToken").slot("_balances")
    return f"""kind = "erc20"
code_hash = {_hex(item.token_code_hash)}
balances = {{ slot = {balances} }}
"""


def policy_toml(deployments: Sequence[Deployment], venue_signer: Address) -> str:
    """The demo's risk parameters. Two sources a price, one a chain; they may differ by what one step of the fall is."""
    sources = min(2, len(deployments))
    text = f"""schema_version = 1
version = 1

[timing]
max_price_age = 30
max_cut_age = 60
pending_cut_timeout_ms = 10000
attestation_ttl = 300
withdrawal_ttl = 120
policy_timelock = 60

[stale]
base_bps = 500
growth_bps_per_hour = 1000
cap_bps = 5000
write_off_after = 86400

[liquidation]
fee_bps = 100
bonus_bps = 500

[margin]
profile = "hypothec"

[[indices]]
id = "{VOLATILITY}"
min_sources = {sources}
max_spread_bps = 1000

[[instruments]]
id = "ETH-PERP"
kind = "perpetual"
underlying = "ETH"

[[instruments]]
id = "ETH"
kind = "future"
underlying = "ETH"

[[instruments]]
id = "ETH"
kind = "option"
underlying = "ETH"

[[venues]]
id = "{VENUE}"
signer = {_hex(venue_signer)}
"""
    for asset in ASSETS:
        text += f"""
[[assets]]
id = "{asset.id}"
min_value_micro_usd = 1000000
min_sources = {sources}
max_spread_bps = 500
"""
        text += f'volatility = "{VOLATILITY}"\n' if asset is ETH else ""
    for item in deployments:
        text += f"""
[[chains]]
id = {item.chain_id}
kind = "evm"
vault = {_hex(address_of(item.vault))}
vault_code_hash = {_hex(item.vault_code_hash)}
verifier = {_hex(address_of(item.verifier))}
from_height = {item.from_height}
stride = 1
max_watched = 8
"""
        for asset in ASSETS:
            decimals = asset.token_decimals
            text += f"""
[[chains.tokens]]
token = {_hex(item.place(asset))}
asset = "{asset.id}"
decimals = {decimals}
cap = "{OUTFLOW_CAP}"
free = true
{_storage(item, asset)}
"""
        for quoted, feed in item.feeds.items():
            text += f"""
[[chains.feeds]]
source = "{quoted}-{item.chain_id}"
asset = "{quoted}"
feed = {_hex(address_of(feed))}
decimals = {PRICE_DECIMALS}
code_hash = {_hex(item.feed_code_hash[quoted])}
"""
    return text

"""An operator's two files: `network.toml`, the same for every node, and `node.toml`, this node's own.

Owns their schema and parsing; paths in `node.toml` are relative to its folder. Every mistake is a ConfigError
that names file and field. Must not know how anything is run.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from chains.adapter import Rollup
from chains.errors import ConfigError, ProofError
from chains.proofs.lightclient import read
from chains.proofs.lightclient.config import CHAIN_IDS, BeaconConfig
from chains.proofs.rollup.layout import (
    BOLD,
    GAME_LIST,
    GAMES,
    IMPLEMENTATION,
    NODES,
    ORACLES,
    REGISTRIES,
    SECOND_IMPLEMENTATION,
    AssertionsRecipe,
    GamesRecipe,
    NodesRecipe,
    OracleRecipe,
    PinnedContract,
)
from chains.types import Address, ChainId, Hash32, ProxyRecipe
from node.margin.policy import Policy, as_tuples
from node.model.network import Network, NodeKeys
from node.model.tables import HexAddress, HexHash, Name

_T = TypeVar("_T", bound=BaseModel)


def _host_port(value: object) -> str:
    if not isinstance(value, str) or not (match := re.fullmatch(r"\S+:([0-9]{1,5})", value)) or int(match[1]) > 65_535:
        raise ValueError("write host:port")
    return value


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


HostPort = Annotated[str, BeforeValidator(_host_port)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NodeTable(_Table):
    """One node of the network, in index order."""

    name: Name
    consensus_key: HexHash
    signer: HexAddress


class NetworkFile(_Table):
    """`network.toml`."""

    schema_version: Literal[1]
    network_id: HexHash
    f: Annotated[int, Field(ge=0)]
    round_ms: Annotated[int, Field(ge=0)]
    nodes: tuple[NodeTable, ...]
    policy_signers: tuple[HexAddress, ...]
    policy_threshold: Annotated[int, Field(ge=1)]

    @property
    def network(self) -> Network:
        """Raises ConfigError when the membership contradicts itself."""
        return Network(
            Hash32(self.network_id),
            self.f,
            self.round_ms,
            tuple(NodeKeys(bytes(node.consensus_key), Address(node.signer)) for node in self.nodes),
            tuple(Address(signer) for signer in self.policy_signers),
            self.policy_threshold,
        )


class TlsTable(_Table):
    """PEM files: the network's authority, and this node's certificate and key."""

    authority: str
    certificate: str
    key: str


class ListenTable(_Table):
    """`host:port` of each listener. The operator listener must be on a loopback address."""

    peers: HostPort
    venues: HostPort
    owners: HostPort
    operator: HostPort
    metrics: HostPort

    @model_validator(mode="after")
    def _distinct(self) -> ListenTable:
        addresses = Counter([self.peers, self.venues, self.owners, self.operator, self.metrics])
        if clash := sorted(address for address, count in addresses.items() if count > 1 and _port(address)):
            raise ValueError(f"give each listener an address of its own, not {clash[0]} twice")
        return self


class PeerTable(_Table):
    """Another node: its index in the network, its name in certificates, and where its peer listener is."""

    index: Annotated[int, Field(ge=0)]
    name: Name
    address: HostPort


def _beacon_network(value: object) -> BeaconConfig:
    try:
        return read.config(value)
    except ProofError as error:
        raise ValueError(str(error)) from error


def _endpoint(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class BeaconTable(_Table):
    """What a light client of one chain follows: beacon nodes, and a block that the operator knows to be true.

    With it, the chain's facts are PROVEN under the signatures of Ethereum's sync committees. Without it, or while the
    newest final block so proven is older than `max_age_s`, they are ATTESTED by the quorum of the chain's endpoints.
    """

    endpoints: Annotated[tuple[str, ...], Field(min_length=1)]
    network: Annotated[BeaconConfig, BeforeValidator(_beacon_network)]
    """A network that is known by its name, or a table of what it is: see `chains.proofs.lightclient.read.config`."""
    checkpoint: HexHash
    """The root of a finalized beacon block that is at most two weeks old, from a source that the operator trusts."""
    max_age_s: Annotated[int, Field(gt=0)] = 2400


class ContractTable(_Table):
    """A contract on L1, its code, and if it is a proxy the implementations behind it: settlement stops if one changes.

    `second` is what Arbitrum's rollup proxy has beside the first: its logic for everybody but the admin.
    """

    address: HexAddress
    code_hash: HexHash
    implementation: HexAddress | None = None
    implementation_code_hash: HexHash | None = None
    second: HexAddress | None = None
    second_code_hash: HexHash | None = None

    @model_validator(mode="after")
    def _pairs(self) -> ContractTable:
        if (self.implementation is None) != (self.implementation_code_hash is None):
            raise ValueError("give an implementation with its code hash")
        if (self.second is None) != (self.second_code_hash is None):
            raise ValueError("give a second implementation with its code hash")
        return self

    @property
    def pinned(self) -> PinnedContract:
        found = (
            (IMPLEMENTATION, self.implementation, self.implementation_code_hash),
            (SECOND_IMPLEMENTATION, self.second, self.second_code_hash),
        )
        proxies = tuple(ProxyRecipe(slot, at, code) for slot, at, code in found if at is not None and code is not None)
        return PinnedContract(self.address, self.code_hash, proxies)


class GameTable(_Table):
    """An implementation of dispute games, and the version whose layout it has."""

    implementation: HexAddress
    layout: Literal[
        "fault-1.0", "fault-1.4", "fault-2", "fault-2-typed", "succinct", "super-fault", "super-permissioned"
    ]


class GamesTable(_Table):
    """An OP-stack chain whose outputs dispute games propose; see `chains.proofs.rollup.layout`."""

    factory: ContractTable
    registry: ContractTable
    registry_layout: Literal["portal2", "anchor-state-registry"]
    games: Annotated[tuple[GameTable, ...], Field(min_length=1)]
    delay_s: Annotated[int, Field(ge=0)]

    @property
    def recipe(self) -> GamesRecipe:
        admitted = {game.implementation: GAMES[game.layout] for game in self.games}
        registry, layout = self.registry.pinned, REGISTRIES[self.registry_layout]
        return GamesRecipe(self.factory.pinned, GAME_LIST, registry, layout, admitted, self.delay_s)


class OracleTable(_Table):
    """An OP-stack chain whose outputs are proposed to an oracle."""

    oracle: ContractTable
    layout: Literal["immutable", "stored"]
    delay_s: Annotated[int, Field(ge=0)]

    @property
    def recipe(self) -> OracleRecipe:
        return OracleRecipe(self.oracle.pinned, ORACLES[self.layout], self.delay_s)


class AssertionsTable(_Table):
    """An Arbitrum chain with BoLD."""

    rollup: ContractTable

    @property
    def recipe(self) -> AssertionsRecipe:
        return AssertionsRecipe(self.rollup.pinned, BOLD)


class NodesTable(_Table):
    """An Arbitrum chain before BoLD."""

    rollup: ContractTable

    @property
    def recipe(self) -> NodesRecipe:
        return NodesRecipe(self.rollup.pinned, NODES)


class RollupTable(_Table):
    """What settles a rollup on its L1, and where that is asked: shown to the operator beside what the chain holds.

    One of `games`, `oracle`, `assertions` and `nodes` says how. Where L1 has settled another chain than the endpoints
    serve, this node vouches for the chain no more.
    """

    l1: Annotated[int, Field(gt=0)]
    endpoints: tuple[str, ...] = ()
    """Of the L1; without any, those of the chain `l1` in this file are asked. Its light client, if it has one, says
    what is final in either case.
    """
    quorum: Annotated[int, Field(ge=0)] = 0
    silence_s: Annotated[int, Field(gt=0)] = 3600
    every_s: Annotated[int, Field(gt=0)] = 60
    games: GamesTable | None = None
    oracle: OracleTable | None = None
    assertions: AssertionsTable | None = None
    nodes: NodesTable | None = None

    @model_validator(mode="after")
    def _one_way(self) -> RollupTable:
        if sum(way is not None for way in (self.games, self.oracle, self.assertions, self.nodes)) != 1:
            raise ValueError("give one of games, oracle, assertions and nodes")
        if (self.endpoints or self.quorum) and not len(self.endpoints) < 2 * self.quorum <= 2 * len(self.endpoints):
            raise ValueError("the quorum has to be a majority of the endpoints")
        return self

    @property
    def rollup(self) -> Rollup:
        way = self.games or self.oracle or self.assertions or self.nodes
        assert way is not None  # noqa: S101 - see _one_way
        return Rollup(ChainId(self.l1), self.endpoints, self.quorum, way.recipe, self.silence_s, self.every_s)


class EndpointTable(_Table):
    """One endpoint: HTTP requests a second at most, and how much it is preferred to others that are as fast."""

    url: str
    per_second: Annotated[float, Field(gt=0)] = math.inf
    weight: Annotated[float, Field(gt=0)] = 1.0


class ChainTable(_Table):
    """The endpoints of one chain and how many of them must agree on a header that is not proven."""

    id: Annotated[int, Field(gt=0)]
    endpoints: Annotated[tuple[Annotated[EndpointTable, BeforeValidator(_endpoint)], ...], Field(min_length=1)]
    """Each a URL, or a table with its url and terms."""
    quorum: Annotated[int, Field(ge=1)]
    poll_ms: Annotated[int, Field(gt=0)] = 1000
    submit: str = ""
    """Where transactions are sent; the first endpoint when empty."""
    beacon: BeaconTable | None = None
    rollup: RollupTable | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(endpoint.url for endpoint in self.endpoints)

    @model_validator(mode="after")
    def _same_chain(self) -> ChainTable:
        if self.beacon is not None and (chain := CHAIN_IDS.get(self.beacon.network.name, self.id)) != self.id:
            raise ValueError(
                f"the beacon network {self.beacon.network.name} is that of chain {chain}, not of {self.id}"
            )
        return self


class RelayTable(_Table):
    """Whether this node pays for transactions, and with which key."""

    key_file: str
    state_interval_s: Annotated[int, Field(gt=0)] = 60
    """Seconds of state time between two states that are published on a chain."""
    stagger_ms: Annotated[int, Field(ge=0)] = 2000
    """How long each node in turn gives the one before it."""
    max_fee_gwei: Annotated[int, Field(gt=0)] = 500
    """The most to pay for one gas, tip included: endpoints are not believed beyond it."""


class NodeFile(_Table):
    """`node.toml`."""

    schema_version: Literal[1]
    name: Name
    index: Annotated[int, Field(ge=0)]
    data_dir: str
    network: str
    policy: str
    consensus_key: str
    chain_key: str
    tls: TlsTable
    listen: ListenTable
    peers: tuple[PeerTable, ...]
    chains: tuple[ChainTable, ...]
    relay: RelayTable | None = None

    @model_validator(mode="after")
    def _known_l1(self) -> NodeFile:
        for chain in self.chains:
            rollup = chain.rollup
            if rollup is not None and not rollup.endpoints and rollup.l1 not in {each.id for each in self.chains}:
                raise ValueError(
                    f"give the rollup {chain.id} endpoints of its L1, {rollup.l1}, which has no table here"
                )
        return self


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Both files, parsed, with the first policy. `path` resolves a path of `node.toml`."""

    folder: Path
    file: NodeFile
    network: Network
    policy: Policy

    def path(self, name: str) -> Path:
        return self.folder / name

    @classmethod
    def load(cls, path: Path) -> NodeConfig:
        """Read `node.toml` and what it names. Raises ConfigError."""
        folder = path.parent
        file = _read(path, NodeFile)
        network_file = _read(folder / file.network, NetworkFile)
        network = network_file.network
        policy = Policy.parse(read_file(folder / file.policy))
        if file.index >= network.n or network_file.nodes[file.index].name != file.name:
            raise ConfigError("give the node its own index in the network", name=file.name, index=file.index)
        if sorted(peer.index for peer in file.peers) != [index for index in range(network.n) if index != file.index]:
            raise ConfigError("name every other node of the network as a peer, once", file=path)
        for peer in file.peers:
            if (known := network_file.nodes[peer.index].name) != peer.name:
                raise ConfigError("call a peer by its name in the network", peer=peer.name, known=known, file=path)
        if {chain.id for chain in file.chains} != set(policy.recipe_by_chain):
            raise ConfigError("give endpoints for exactly the chains of the policy", file=path)
        for chain in file.chains:
            if chain.quorum > len(set(chain.urls)):
                raise ConfigError("ask for no larger quorum than there are endpoints", chain=chain.id, file=path)
        return cls(folder, file, network, policy)


def load_network(path: Path) -> Network:
    """The network of a `network.toml`. Raises ConfigError."""
    return _read(path, NetworkFile).network


def read_secret(path: Path) -> bytes:
    """A 32-byte key from a file of hex digits that nobody else may read. Raises ConfigError."""
    text = read_file(path).decode("ascii", "replace").strip().removeprefix("0x")
    if path.stat().st_mode & 0o077:
        raise ConfigError("let nobody else read the key file (chmod 600)", file=path)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError("write the key as 64 hex digits", file=path)
    return key


def write_new(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file that must not be there yet, with its folders; `private` lets nobody else read it.

    Raises ConfigError: a key that exists is never replaced.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except FileExistsError as error:
        raise ConfigError("move the file away first: keys are never overwritten", file=path) from error
    except OSError as error:
        raise ConfigError(f"choose another place: {error.strerror}", file=path) from error


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises ConfigError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"make the file readable: {error.strerror}", file=path) from error


def _read(path: Path, table: type[_T]) -> _T:
    try:
        tables: dict[str, Any] = tomllib.loads(read_file(path).decode())
        tables = {key: as_tuples(item) for key, item in tables.items()}
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, too long a number; too deep
        raise ConfigError(f"write TOML: {error}", file=path) from error
    try:
        return table.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"correct {place or 'the file'}: {first['msg']}", file=path) from error

"""`hypothec query`: ask a node, and believe only what was verified here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from chains.types import AccountId
    from hypothec.client import VenueClient
    from node.model.identity import TlsMaterial

app = typer.Typer(help="Ask a node, and verify what it answers.", no_args_is_help=True)
_T = TypeVar("_T")

Target = Annotated[
    str, typer.Option("--node", help="host:port: its operator listener on its own machine, or with --tls its venues'.")
]
NetworkFile = Annotated[Path, typer.Option("--network", help="The network's network.toml: all that is trusted.")]
Tls = Annotated[
    Path | None,
    typer.Option("--tls", help="Folder with authority.pem, certificate.pem and key.pem.", file_okay=False),
]
ServerName = Annotated[
    str | None, typer.Option("--name", help="The node's name, where its host name is not in its certificate.")
]
Account = Annotated[str, typer.Argument(help="Account id, 32 bytes as 0x and hex digits.")]
MaxAge = Annotated[int, typer.Option("--max-age-ms", min=0, help="Refuse a state that is older.")]
_MAX_AGE_MS = 10_000


@dataclass(frozen=True, slots=True)
class _Node:
    """Whom to ask, and as whom."""

    target: str
    network: Path
    tls: Path | None
    name: str | None
    max_age_ms: int

    def ask(self, question: Callable[[VenueClient], Awaitable[_T]]) -> _T:
        """Open a client, ask, close it."""
        import asyncio

        from hypothec.client import VenueClient
        from node.config import load_network

        network, tls, server_name = load_network(self.network), self._material(), self._server_name()

        async def asked() -> _T:
            async with VenueClient(
                self.target, network, tls, server_name=server_name, max_age_ms=self.max_age_ms
            ) as client:
                return await question(client)

        return asyncio.run(asked())

    def _material(self) -> TlsMaterial | None:
        from node.config import read_file
        from node.model.identity import TlsMaterial

        if self.tls is None:
            return None
        return TlsMaterial(*(read_file(self.tls / f"{name}.pem") for name in ("authority", "certificate", "key")))

    def _server_name(self) -> str | None:
        from node.model.identity import Identity, Role

        return Identity(Role.NODE, self.name).server_name if self.name is not None else None


def _account(text: str) -> AccountId:
    from chains.errors import InputError
    from chains.types import AccountId

    try:
        account = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        account = b""
    if len(account) != 32:
        raise InputError("give an account id as 0x and 64 hex digits", given=text)
    return AccountId(account)


@app.command()
def health(
    account: Account,
    node: Target,
    network: NetworkFile,
    tls: Tls = None,
    name: ServerName = None,
    max_age_ms: MaxAge = _MAX_AGE_MS,
    save: Annotated[Path | None, typer.Option(help="Keep the answer in this file, for `hypothec verify`.")] = None,
) -> None:
    """Is an account's collateral enough? Its health, recomputed here from proven inputs."""
    from node.cli.shown import print_json, shown_health, shown_state

    wanted = _account(account)
    answer = _Node(node, network, tls, name, max_age_ms).ask(lambda client: client.get_health(wanted))
    if save is not None:
        answer.save(save)
    print_json({"state": shown_state(answer.header), **shown_health(answer.health)})


@app.command()
def state(
    node: Target, network: NetworkFile, tls: Tls = None, name: ServerName = None, max_age_ms: MaxAge = _MAX_AGE_MS
) -> None:
    """The newest certified margin state."""
    from node.cli.shown import print_json, shown_state

    header = _Node(node, network, tls, name, max_age_ms).ask(lambda client: client.get_margin_state())
    print_json(shown_state(header))


@app.command()
def settlements(node: Target, network: NetworkFile, tls: Tls = None, name: ServerName = None) -> None:
    """How far L1 has settled each rollup: the word of the node that is asked, beside what the network signs."""
    from google.protobuf.json_format import MessageToDict

    from node.cli.shown import print_json

    found = _Node(node, network, tls, name, _MAX_AGE_MS).ask(lambda client: client.get_settlements())
    print_json([MessageToDict(each, preserving_proto_field_name=True) for each in found])


@app.command()
def attestation(
    account: Account,
    node: Target,
    network: NetworkFile,
    tls: Tls = None,
    name: ServerName = None,
) -> None:
    """The open liquidation of an account, a signed release for each vault; exit status 1 when none is open."""
    from node.cli.shown import print_json, shown_release

    wanted = _account(account)
    legs = _Node(node, network, tls, name, _MAX_AGE_MS).ask(lambda client: client.get_liquidation_attestation(wanted))
    print_json([shown_release(leg) for leg in legs])


@app.command()
def status(node: Annotated[str, typer.Option("--node", help="host:port of the node's operator listener.")]) -> None:
    """What a node does, who is behind and why: its own word, for its operator, on its own machine."""
    import asyncio

    from google.protobuf.json_format import MessageToDict

    from hypothec.client.connection import Connection
    from hypothec.v1 import operator_service_pb2 as pb
    from hypothec.v1.operator_service_pb2_grpc import OperatorServiceStub
    from node.cli.shown import print_json

    async def asked() -> pb.GetStatusResponse:
        async with Connection(node, None, None, 5.0) as connection:
            return await connection.call(OperatorServiceStub(connection.channel).GetStatus, pb.GetStatusRequest())

    print_json(MessageToDict(asyncio.run(asked()), preserving_proto_field_name=True))

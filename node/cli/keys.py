"""`hypothec keys`: new keys and certificates. Files are never overwritten; secrets are for the owner only."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make keys and certificates.", no_args_is_help=True)
NewFile = Annotated[Path, typer.Argument(help="File to write; it must not be there.")]


class CertificateRole(StrEnum):
    """Who needs a certificate."""

    NODE = "node"
    VENUE = "venue"
    OPERATOR = "operator"


@app.command()
def consensus(file: NewFile) -> None:
    """A new key for what a node tells its peers (ed25519). Prints the public key, for network.toml."""
    import secrets

    from nacl.signing import SigningKey

    from node.config import write_new

    key = secrets.token_bytes(32)
    write_new(file, key.hex().encode() + b"\n", private=True)
    typer.echo("0x" + bytes(SigningKey(key).verify_key).hex())


@app.command()
def chain(file: NewFile) -> None:
    """A new secp256k1 key: of a node for the chains, a relayer, an owner, a venue. Prints its address."""
    import secrets

    import coincurve

    from node.config import write_new
    from node.model.signatures import address_of

    key = secrets.token_bytes(32)
    write_new(file, key.hex().encode() + b"\n", private=True)
    typer.echo("0x" + address_of(coincurve.PrivateKey(key).public_key).hex())


@app.command()
def authority(
    folder: Annotated[Path, typer.Argument(help="Folder for authority.pem and authority-key.pem.")],
    name: Annotated[str, typer.Option(help="Name of the network, for the certificate.")],
) -> None:
    """A network's certificate authority. Whoever has its key can pose as anybody on the wire: keep it offline."""
    from datetime import UTC, datetime

    from node.config import write_new
    from node.peers.identity import create_authority

    made = create_authority(name, datetime.now(UTC))
    write_new(folder / "authority-key.pem", made.key, private=True)
    write_new(folder / "authority.pem", made.certificate)
    typer.echo(folder / "authority.pem")


@app.command()
def certificate(
    role: Annotated[CertificateRole, typer.Argument(help="What its holder may do.")],
    name: Annotated[str, typer.Argument(help="Name of the node, venue or operator.")],
    folder: Annotated[Path, typer.Argument(help="Folder for authority.pem, certificate.pem and key.pem.")],
    signer: Annotated[Path, typer.Option("--authority", help="Folder of the authority.", exists=True, file_okay=False)],
    host: Annotated[list[str] | None, typer.Option(help="Host name or address of a node; may be repeated.")] = None,
) -> None:
    """A key and a certificate of one node, venue or operator."""
    from datetime import UTC, datetime

    from node.config import read_file, write_new
    from node.model.identity import Identity, Role
    from node.peers.identity import Authority, issue

    signing = Authority(read_file(signer / "authority.pem"), read_file(signer / "authority-key.pem"))
    made = issue(signing, Identity(Role(role.value), name), host or (), datetime.now(UTC))
    write_new(folder / "key.pem", made.key, private=True)
    write_new(folder / "certificate.pem", made.certificate)
    write_new(folder / "authority.pem", made.authority)
    typer.echo(folder / "certificate.pem")

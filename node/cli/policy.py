"""`hypothec policy`: check a policy file, sign its activation as one of its signers, hand it in to a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from node.margin.policy import Policy

app = typer.Typer(help="Check, sign and hand in a new policy.", no_args_is_help=True)
PolicyFile = Annotated[Path, typer.Argument(help="The policy's TOML file; its very bytes count.", dir_okay=False)]
NetworkFile = Annotated[Path, typer.Option("--network", help="The network's network.toml.")]
ActivatesAt = Annotated[
    int, typer.Option("--activates-at", min=0, help="Unix seconds; after the timelock of the policy in force.")
]
_TIMEOUT_S = 10.0


@app.command("hash")
def show_hash(file: PolicyFile) -> None:
    """Check the file, and print the hash by which headers name it."""
    typer.echo("0x" + _policy(file).hash.hex())


@app.command()
def sign(
    file: PolicyFile,
    network: NetworkFile,
    key: Annotated[Path, typer.Option("--key", help="A policy signer's secp256k1 key file.")],
    activates_at: ActivatesAt,
) -> None:
    """Print one signer's signature of the activation."""
    import coincurve

    from chains.errors import ConfigError
    from node.config import load_network, read_secret
    from node.model.requests import PolicyActivation
    from node.model.signatures import address_of
    from node.model.signatures import sign as sign_digest

    policy, known = _policy(file), load_network(network)
    private = coincurve.PrivateKey(read_secret(key))
    signer = address_of(private.public_key)
    if signer not in known.policy_signers:
        raise ConfigError("sign with the key of a policy signer of the network", file=key, signer=signer)
    activation = PolicyActivation(policy.version, policy.body, activates_at)
    typer.echo("0x" + sign_digest(private, activation.digest(known.network_id)).hex())


@app.command()
def submit(
    file: PolicyFile,
    network: NetworkFile,
    activates_at: ActivatesAt,
    signatures: Annotated[list[str], typer.Option("--signature", help="What `sign` printed; once a signer.")],
    target: Annotated[str, typer.Option("--node", help="host:port of a node's operator listener.")],
) -> None:
    """Hand the activation in. It takes effect once the nodes have agreed on it and its time has come."""
    import grpc

    from chains.errors import RetryError
    from hypothec.v1 import operator_service_pb2 as pb
    from hypothec.v1.operator_service_pb2_grpc import OperatorServiceStub
    from node.config import load_network
    from node.model.requests import PolicyActivation, encode_request

    policy, known = _policy(file), load_network(network)
    activation = PolicyActivation(
        policy.version, policy.body, activates_at, tuple(_signature(text) for text in signatures)
    )
    activation.signers(known.network_id)  # refuse here what no node would take
    with grpc.insecure_channel(target) as channel:
        try:
            request = pb.SubmitPolicyRequest(request=encode_request(activation))
            answer = OperatorServiceStub(channel).SubmitPolicy(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            raise RetryError(f"the node did not take it: {error.details()}", node=target) from error
    typer.echo(f"0x{answer.digest.hex()} activates policy 0x{answer.policy_hash.hex()}")


def _policy(file: Path) -> Policy:
    from chains.errors import ConfigError
    from node.margin.policy import Policy

    try:
        return Policy.parse(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"make the policy readable: {error.strerror}", file=file) from error


def _signature(text: str) -> bytes:
    from chains.errors import ConfigError

    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise ConfigError("give a signature as hex digits", signature=text) from None

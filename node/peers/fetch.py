"""Asks one peer for a body by its digest, or for a whole committed state, and checks what comes back.

Must not know which peer to ask, nor what the bodies are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NoReturn

import grpc
from grpc import aio

from chains.errors import HypothecError, InputError, LimitError, RetryError
from chains.types import ChainId, Hash32
from hypothec.v1 import peer_service_pb2 as pb
from hypothec.v1.peer_service_pb2_grpc import PeerServiceStub
from node.attestation.signed_state import verify_state
from node.model.certificate import CommitCertificate
from node.model.frame import Frame, FramePrice
from node.model.header import Header
from node.model.merkle import MerkleMap
from node.model.network import Network
from node.model.reports import Report
from node.model.requests import decode_request, policy_hash
from node.model.state import Control, State
from node.peers.errors import BodyMismatch, NotHeld, StateMismatch

_FRAME_MAP = "frame"


async def fetch_body(
    channel: aio.Channel, kind: pb.BodyKind.ValueType, digest: Hash32, network_id: Hash32, timeout_s: float
) -> bytes:
    """The bytes that `digest` names. Raises NotHeld, RetryError, or PeerError for other bytes.

    The digest of a book is its root, which only who has the book before can compute: those bytes are not checked here.
    """
    try:
        answer = await PeerServiceStub(channel).Fetch(pb.FetchRequest(kind=kind, digest=digest), timeout=timeout_s)
    except aio.AioRpcError as error:
        _raise(error)
    if kind != pb.BODY_KIND_BOOK and (found := body_digest(kind, answer.body, network_id)) != digest:
        raise BodyMismatch("refuse another body than the one asked for", asked=digest, found=found)
    return answer.body


def body_digest(kind: pb.BodyKind.ValueType, body: bytes, network_id: Hash32) -> Hash32:
    """The digest that names a body. Raises BodyMismatch for bytes that are none of the kind."""
    try:
        if kind == pb.BODY_KIND_REPORT:
            return Report.decode(body).digest(network_id)
        if kind == pb.BODY_KIND_REQUEST:
            return decode_request(body).digest(network_id)
    except (InputError, LimitError) as error:
        raise BodyMismatch(f"refuse a body that does not parse: {error}", length=len(body)) from error
    if kind == pb.BODY_KIND_POLICY:
        return policy_hash(body)
    raise InputError("ask for a known kind of body", kind=kind)


async def fetch_state(
    channel: aio.Channel, network: Network, min_sequence: int, timeout_s: float, max_bytes: int
) -> tuple[State, CommitCertificate]:
    """The peer's newest state, verified whole. Raises NotHeld, RetryError, LimitError, PeerError."""
    call = PeerServiceStub(channel).FetchState(pb.FetchStateRequest(min_sequence=min_sequence), timeout=timeout_s)
    head: pb.StateHead | None = None
    maps: dict[str, dict[bytes, bytes]] = {}
    size = 0
    try:
        async for answer in call:
            size += answer.ByteSize()
            if size > max_bytes:
                raise LimitError("refuse a state over the bound", bound=max_bytes)
            if answer.WhichOneof("part") == "head":
                head = answer.head
            else:
                leaves = maps.setdefault(answer.leaves.map, {})
                leaves.update((leaf.key, leaf.value) for leaf in answer.leaves.leaves)
    except aio.AioRpcError as error:
        _raise(error)
    finally:
        call.cancel()
    if head is None:
        raise StateMismatch("refuse a state without a header", size=size)
    # Hashing every leaf of a large state takes seconds: not on the event loop.
    return await asyncio.to_thread(assemble_state, network, min_sequence, head, maps)


def assemble_state(
    network: Network, min_sequence: int, head: pb.StateHead, maps: dict[str, dict[bytes, bytes]]
) -> tuple[State, CommitCertificate]:
    """The state that the parts make. Raises PeerError unless every part is what the certified header names."""
    try:
        header, certificate = verify_state(network, head.state.header, head.state.certificate)
        control = Control.decode(head.control)
        frame = _frame(maps.pop(_FRAME_MAP, {}))
    except (InputError, LimitError) as error:
        raise StateMismatch(f"refuse a state that does not parse: {error}") from error
    if header.sequence < min_sequence:
        raise StateMismatch("refuse an older state than asked for", sequence=header.sequence, asked=min_sequence)
    accounts, obligations = MerkleMap.of(maps.pop("accounts", {})), MerkleMap.of(maps.pop("obligations", {}))
    chains = {
        ChainId(chain.cut.chain_id): MerkleMap.of(maps.pop(f"chain:{chain.cut.chain_id}", {}))
        for chain in header.chains
    }
    if maps:
        raise StateMismatch("refuse maps that the header does not name", maps=sorted(maps))
    state = State(header, chains, obligations, accounts, frame, control)
    for name, claimed, found in _roots(header, state):
        if claimed != found:
            raise StateMismatch(
                "refuse a part that is not what the header names", part=name, named=claimed, found=found
            )
    return state, certificate


def _frame(leaves: dict[bytes, bytes]) -> Frame:
    prices = [FramePrice.decode(value) for value in leaves.values()]
    return Frame.of({price.asset: price for price in prices})


def _roots(header: Header, state: State) -> Iterable[tuple[str, Hash32, Hash32]]:
    yield "control", header.control_hash, state.control.hash()
    yield "accounts", header.accounts_root, state.accounts.root
    yield "obligations", header.obligations_root, state.obligations.root
    yield "frame", header.frame_root, state.frame.map.root
    for chain in header.chains:
        yield f"chain:{chain.cut.chain_id}", chain.root, state.chains[chain.cut.chain_id].root


def _raise(error: aio.AioRpcError) -> NoReturn:
    if error.code() is grpc.StatusCode.NOT_FOUND:
        raise NotHeld("ask another peer", details=error.details()) from error
    raised: HypothecError = RetryError("ask again, or another peer", code=error.code().name, details=error.details())
    raise raised from error

"""What is signed, frozen: a change here breaks every signature that was ever made.

Each digest is put together once more from its documented layout, without the code that makes it, and compared with hex.
"""

from __future__ import annotations

import pytest
from Crypto.Hash import keccak as cryptodome

from node.consensus.protocol.certified import Rank
from node.consensus.protocol.messages import (
    Commit,
    EpochStart,
    Message,
    NewEpochWish,
    Observation,
    Prepare,
    RankProof,
    RoundStart,
    Status,
    StatusRequest,
)
from node.consensus.protocol.proposal import Proposal, SignedObservation
from node.consensus.protocol.statements import Statement

CONFIG = bytes(range(32))
A, B = b"\xaa" * 32, b"\xbb" * 32
SIGNATURE = bytes(range(64))
PROPOSAL = Proposal(3, 7, A, (SignedObservation(1, b"one", SIGNATURE), SignedObservation(2, b"", SIGNATURE)))  # type: ignore[arg-type]
NONE = bytes(32)


def keccak(data: bytes) -> bytes:
    return cryptodome.new(data=data, digest_bits=256).digest()


def u(value: int, width: int = 8) -> bytes:
    return value.to_bytes(width, "big")


OBSERVATIONS = u(2, 4) + b"\1" + u(3, 4) + b"one" + SIGNATURE + b"\2" + u(0, 4) + SIGNATURE
PROPOSED = keccak(u(3) + u(7) + A + OBSERVATIONS)
RANK = u(6) + b"\1" + u(2)

CASES: list[tuple[Statement | Message, str, int, int, bytes]] = [
    (NewEpochWish(9), "new_epoch_wish", 9, 0, NONE),
    (Rank(6, True, 2).statement(3), "epoch_start_request", 3, 0, keccak(RANK)),
    (
        EpochStart(3, (RankProof(1, Rank(6, True, 2), SIGNATURE),), None),
        "epoch_start",
        3,
        0,
        keccak(u(1, 4) + b"\1" + RANK + SIGNATURE + b"\0"),
    ),
    (RoundStart(3, 7, None, b"query"), "round_start", 3, 7, keccak(b"query")),
    (Observation(3, 7, A, b"payload"), "observation", 3, 7, keccak(A + b"payload")),  # type: ignore[arg-type]
    (PROPOSAL, "proposal", 3, 7, PROPOSED),
    (Prepare(4, 7, 3, A, B, SIGNATURE), "prepare", 4, 7, keccak(A + B)),  # type: ignore[arg-type]
    (Commit(4, 7, B), "commit", 4, 7, B),  # type: ignore[arg-type]
    (StatusRequest(bytes(16)), "status_request", 0, 0, keccak(bytes(16))),
    (Status(2, bytes(16), None, ()), "status", 0, 0, keccak(b"\2" + bytes(16) + u(0, 4) + u(0, 4))),
]

FROZEN = {
    "new_epoch_wish": "f381bb8a39d36ba462013fc76970502de87492266f22887ff213c39af386cb16",
    "epoch_start_request": "e7a20698669817340dbc76d9c5728040fc5eb520feb58cfc7e54a6e2b08198f9",
    "epoch_start": "dda00c24e91cc226e8e0f16c36efcafc754111d192dd0a36f55eaa5279afbd66",
    "round_start": "a3d5aba4c3e7d1b49afaa516ddc0841a44e478e086b807554f93062ce4bd2da8",
    "observation": "89f6ea5d5f29808d50a666f5883b638ebf43631d944d146ccff04ec93c99c6ba",
    "proposal": "e45c248493e87c0daee1054af5e80139c69a3ae24b7224590cdfbaaf485d8498",
    "prepare": "b3dfa20e2681feb7c5ead1eb939c042f53da2fb0d8e5edb65dea474ecb1f9a63",
    "commit": "394801b2869637967599ee56e1fc2ab922fef281b394ae696ace265023b83890",
    "status_request": "d26e05d2906d4308a3cb2d4d7784bf6188a03ce478c8e98a663fa61652666704",
    "status": "6ff3b44c6cba700d2f2daf2d9bea24dfa2aeb1ffd8dea513d0b31a7164a4359f",
}


@pytest.mark.parametrize(("said", "kind", "epoch", "seq", "digest"), CASES, ids=[case[1] for case in CASES])
def test_what_is_signed_has_the_documented_layout(
    said: Statement | Message, kind: str, epoch: int, seq: int, digest: bytes
) -> None:
    statement = said if isinstance(said, Statement) else said.statement
    signed = statement.to_sign(CONFIG)  # type: ignore[arg-type]
    assert signed == keccak(b"hypothec.v1.consensus." + kind.encode()) + CONFIG + u(epoch) + u(seq) + digest
    assert keccak(signed).hex() == FROZEN[kind]

"""The membership of a network, its quorums, its digest, and certificates that its nodes make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from nacl.signing import SigningKey

from chains.errors import ConfigError, QuorumError, SignatureError
from chains.proofs.keccak import keccak
from chains.types import Address, Hash32
from node.model.certificate import CommitCertificate, ed25519_holds, quorum_of, verify_certificate
from node.model.codec import Malformed
from node.model.network import Network, NodeKeys
from tests.kit import address, network


@pytest.mark.parametrize(("n", "f"), [(1, 0), (4, 1), (5, 1), (7, 2), (31, 10), (31, 0)])
def test_two_quorums_share_an_honest_node(n: int, f: int) -> None:
    made = network(n, f)
    assert 2 * made.quorum - n > f
    assert made.quorum <= n - f, "or the honest nodes alone could not decide"
    assert made.strong_quorum <= n - f
    assert (made.weak_quorum, made.quorum) == (f + 1, quorum_of(n, f))


@pytest.mark.parametrize(("n", "f"), [(0, 0), (3, 1), (6, 2), (32, 1), (4, -1)])
def test_too_few_or_too_many_nodes_are_refused(n: int, f: int) -> None:
    with pytest.raises(ConfigError):
        network(n, f)


def test_every_node_has_keys_of_its_own_and_of_the_right_length() -> None:
    made = network()
    one, other = made.nodes[:2]
    for wrong in (
        NodeKeys(one.consensus_key, other.signer),
        NodeKeys(other.consensus_key, one.signer),
        NodeKeys(other.consensus_key[:31], other.signer),
        NodeKeys(other.consensus_key, Address(other.signer + b"\0")),
    ):
        with pytest.raises(ConfigError):
            replace(made, nodes=(one, wrong, *made.nodes[2:]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy_threshold": 0},
        {"policy_threshold": 3},
        {"policy_signers": ()},
        {"policy_signers": (address("policy a"), address("policy a"))},
        {"policy_signers": (Address(b"short"), address("policy a"))},
        {"round_ms": -1},
        {"network_id": Hash32(b"short")},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        replace(network(), **wrong)


def test_the_digest_covers_everything() -> None:
    made = network()
    others: list[Network] = [
        replace(made, network_id=Hash32(bytes(32))),
        replace(made, f=0),
        replace(made, round_ms=1),
        replace(made, nodes=made.nodes[::-1]),
        replace(made, nodes=(replace(made.nodes[0], signer=address("new")), *made.nodes[1:])),
        replace(made, nodes=(replace(made.nodes[0], consensus_key=bytes(32)), *made.nodes[1:])),
        replace(made, policy_signers=made.policy_signers[::-1]),
        replace(made, policy_threshold=1),
    ]
    assert len({each.digest for each in (made, *others)}) == len(others) + 1


# === Certificates ===

SECRETS = [SigningKey(keccak(b"node %d" % index)) for index in range(4)]
KEYS = [bytes(secret.verify_key) for secret in SECRETS]
CONFIG, OUTCOME = Hash32(keccak(b"config")), Hash32(keccak(b"outcome"))
UNSIGNED = CommitCertificate(CONFIG, 3, 9, OUTCOME, 0, ())


def signatures(*indices: int, statement: bytes = UNSIGNED.statement) -> dict[int, bytes]:
    return {index: SECRETS[index].sign(statement).signature for index in indices}


def certificate(*indices: int) -> CommitCertificate:
    return CommitCertificate.assemble(CONFIG, 3, 9, OUTCOME, signatures(*indices), 3)


def test_a_quorum_certifies() -> None:
    assert verify_certificate(certificate(3, 0, 2), CONFIG, KEYS, 1) == (0, 2, 3)
    assert certificate(0, 1, 2, 3).signer_indices == (0, 1, 2)
    with pytest.raises(QuorumError):
        certificate(0, 1)


def test_the_statement_is_the_112_bytes_of_its_format() -> None:
    tag = keccak(b"hypothec.v1.consensus.commit")
    assert UNSIGNED.statement == tag + CONFIG + (3).to_bytes(8, "big") + (9).to_bytes(8, "big") + OUTCOME


GOOD = certificate(0, 1, 3)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (replace(GOOD, config_digest=Hash32(bytes(32))), SignatureError),
        (replace(GOOD, epoch=4), SignatureError),
        (replace(GOOD, seq=10), SignatureError),
        (replace(GOOD, outcome_digest=Hash32(bytes(32))), SignatureError),
        (replace(GOOD, signers=0b0111), SignatureError),
        (replace(GOOD, signers=0b10011), SignatureError),
        (replace(GOOD, signers=0b1111), QuorumError),
        (replace(GOOD, signers=0b0011, signatures=GOOD.signatures[:2]), QuorumError),
        (replace(GOOD, signatures=GOOD.signatures[:2]), QuorumError),
        (replace(GOOD, signatures=GOOD.signatures[::-1]), SignatureError),
        (replace(GOOD, signatures=(*GOOD.signatures[:2], bytes(64))), SignatureError),
        (replace(GOOD, signatures=(*GOOD.signatures[:2], GOOD.signatures[2][:63])), SignatureError),
        (replace(GOOD, signatures=GOOD.signatures[:1] * 3), SignatureError),
    ],
)
def test_anything_else_certifies_nothing(wrong: CommitCertificate, error: type[Exception]) -> None:
    with pytest.raises(error):
        verify_certificate(wrong, CONFIG, KEYS, 1)


def test_more_than_a_quorum_is_refused_as_well() -> None:
    """There is one form, so that nobody can make two certificates of the same signatures."""
    all_four = signatures(0, 1, 2, 3)
    with pytest.raises(QuorumError):
        verify_certificate(CommitCertificate(CONFIG, 3, 9, OUTCOME, 0b1111, tuple(all_four.values())), CONFIG, KEYS, 1)


def test_a_signature_of_another_kind_of_statement_does_not_count() -> None:
    prepare = keccak(b"hypothec.v1.consensus.prepare") + UNSIGNED.statement[32:]
    made = CommitCertificate.assemble(CONFIG, 3, 9, OUTCOME, signatures(0, 1, 2, statement=prepare), 3)
    with pytest.raises(SignatureError):
        verify_certificate(made, CONFIG, KEYS, 1)


def test_a_mask_of_more_nodes_than_there_can_be_is_malformed() -> None:
    data = bytearray(GOOD.encode())
    assert CommitCertificate.decode(bytes(data)) == GOOD
    at = 1 + 32 + 8 + 8 + 32
    data[at] |= 0x80
    with pytest.raises(Malformed):
        CommitCertificate.decode(bytes(data) + bytes(64))


@pytest.mark.parametrize("public_key", [b"", bytes(31), bytes(33), b"\xff" * 32, bytes(32)])
def test_a_key_that_is_none_holds_for_nothing(public_key: bytes) -> None:
    assert not ed25519_holds(public_key, b"message", SECRETS[0].sign(b"message").signature)

"""The certificate of a state: what a client checks."""

from dataclasses import replace

import pytest

from chains.errors import QuorumError, SignatureError
from chains.proofs.keccak import keccak
from node.model.certificate import (
    CommitCertificate,
    ed25519_holds,
    quorum_of,
    statement_bytes,
    verify_certificate,
)
from node.model.codec import Malformed
from node.model.digests import tag
from tests.simulation.world import CONFIG_DIGEST, KEYS, make_config
from tests.unit.consensus.rig import commit_certificate

CONFIG = make_config(4, 1)
OUTCOME = keccak(b"outcome")
CERTIFICATE = commit_certificate(5, 9, OUTCOME, (0, 2, 3))


def verify(certificate: CommitCertificate) -> tuple[int, ...]:
    return verify_certificate(certificate, CONFIG_DIGEST, CONFIG.keys, CONFIG.f)


@pytest.mark.parametrize(
    ("n", "f", "quorum"), [(1, 0, 1), (3, 0, 2), (4, 1, 3), (5, 1, 4), (6, 1, 4), (7, 2, 5), (31, 10, 21)]
)
def test_any_two_quorums_share_an_honest_node_and_the_honest_are_one(n: int, f: int, quorum: int) -> None:
    assert quorum_of(n, f) == quorum
    assert 2 * quorum - n > f
    assert n - f >= quorum


def test_a_quorum_of_commits_certifies() -> None:
    assert verify(CERTIFICATE) == (0, 2, 3)
    assert CommitCertificate.decode(CERTIFICATE.encode()) == CERTIFICATE


def test_the_byte_form_is_as_documented() -> None:
    signed = tag("consensus.commit") + CONFIG_DIGEST + (5).to_bytes(8, "big") + (9).to_bytes(8, "big") + OUTCOME
    assert CERTIFICATE.statement == signed
    assert statement_bytes(tag("consensus.commit"), CONFIG_DIGEST, 5, 9, OUTCOME) == signed
    parts = [b"\1", CONFIG_DIGEST, (5).to_bytes(8, "big"), (9).to_bytes(8, "big"), OUTCOME, b"\0\0\0\x0d"]
    assert CERTIFICATE.encode() == b"".join([*parts, *CERTIFICATE.signatures])


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 6},
        {"seq": 8},
        {"outcome_digest": keccak(b"other")},
        {"config_digest": keccak(b"other")},
        {"signers": 0b0111},
        {"signers": 0b10110},
        {"signatures": CERTIFICATE.signatures[::-1]},
        {"signatures": (bytes(64), *CERTIFICATE.signatures[1:])},
        {"signatures": (b"", *CERTIFICATE.signatures[1:])},
    ],
)
def test_a_certificate_that_was_changed_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SignatureError):
        verify(replace(CERTIFICATE, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("nodes", [(0,), (1, 3), (0, 1, 2, 3)])
def test_fewer_or_more_than_a_quorum_is_refused(nodes: tuple[int, ...]) -> None:
    with pytest.raises(QuorumError):
        verify(commit_certificate(5, 9, OUTCOME, nodes))


def test_one_signature_twice_is_no_quorum() -> None:
    with pytest.raises(QuorumError):
        verify(replace(CERTIFICATE, signers=0b0101))


def test_assembling_takes_exactly_a_quorum_and_no_less() -> None:
    many = {node: bytes([node]) * 64 for node in (3, 1, 2, 0)}
    made = CommitCertificate.assemble(CONFIG_DIGEST, 1, 1, OUTCOME, many, 3)
    assert made.signer_indices == (0, 1, 2)
    with pytest.raises(QuorumError):
        CommitCertificate.assemble(CONFIG_DIGEST, 1, 1, OUTCOME, {0: bytes(64)}, 3)


@pytest.mark.parametrize("cut", [0, 1, 50, 84, 85, 100])
def test_bytes_that_are_no_certificate_are_refused(cut: int) -> None:
    for data in (CERTIFICATE.encode()[:cut], CERTIFICATE.encode() + b"\0", b"\2" + CERTIFICATE.encode()[1:]):
        with pytest.raises(Malformed):
            CommitCertificate.decode(data)
    mask_too_wide = bytearray(CERTIFICATE.encode())
    mask_too_wide[81] = 0x80
    with pytest.raises(Malformed, match="bitmask"):
        CommitCertificate.decode(bytes(mask_too_wide))


def test_rubbish_is_no_signature() -> None:
    signature = KEYS[0].sign(b"x")
    assert ed25519_holds(KEYS[0].public, b"x", signature)
    assert not ed25519_holds(KEYS[0].public, b"y", signature)
    assert not ed25519_holds(KEYS[1].public, b"x", signature)
    assert not ed25519_holds(KEYS[0].public, b"x", signature + b"\0")
    assert not ed25519_holds(b"short", b"x", signature)
    assert not ed25519_holds(bytes(32), b"x", bytes(64))

from __future__ import annotations

import stat
from pathlib import Path

import coincurve
import pytest
from cryptography import x509
from nacl.signing import SigningKey

from node.config import read_secret
from node.model.signatures import address_of
from tests.unit.cli.conftest import Hypothec


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_consensus_key_prints_its_public_half(hypothec: Hypothec, tmp_path: Path) -> None:
    ran = hypothec("keys", "consensus", tmp_path / "new" / "consensus.key")
    secret = read_secret(tmp_path / "new" / "consensus.key")
    assert ran.out.strip() == "0x" + bytes(SigningKey(secret).verify_key).hex()
    assert secret.hex() not in ran.out + ran.err


def test_a_chain_key_prints_its_address(hypothec: Hypothec, tmp_path: Path) -> None:
    ran = hypothec("keys", "chain", tmp_path / "chain.key")
    secret = read_secret(tmp_path / "chain.key")
    assert ran.out.strip() == "0x" + address_of(coincurve.PrivateKey(secret).public_key).hex()


@pytest.mark.parametrize("kind", ["consensus", "chain"])
def test_a_key_is_for_its_owner_alone_and_never_overwritten(hypothec: Hypothec, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.key"
    hypothec("keys", kind, path)
    before = path.read_bytes()
    assert mode(path) == 0o600
    again = hypothec("keys", kind, path)
    assert again.status == 2
    assert again.err.startswith("hypothec: move the file away first")
    assert str(path) in again.err
    assert path.read_bytes() == before


def test_the_authority_issues_certificates(hypothec: Hypothec, tmp_path: Path) -> None:
    ca, folder = tmp_path / "ca", tmp_path / "node-0"
    assert hypothec("keys", "authority", ca, "--name", "a network").status == 0
    made = hypothec(
        "keys", "certificate", "node", "node-0", folder, "--authority", ca, "--host", "127.0.0.1", "--host", "a.example"
    )
    assert made.out.strip() == str(folder / "certificate.pem")
    assert mode(ca / "authority-key.pem") == mode(folder / "key.pem") == 0o600
    certificate = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((ca / "authority.pem").read_bytes()))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://hypothec/node/node-0"]
    assert names.get_values_for_type(x509.DNSName) == ["node-0.node.hypothec", "a.example"]
    again = hypothec("keys", "certificate", "venue", "demo", folder, "--authority", ca)
    assert again.status == 2


def test_without_an_authority_there_is_no_certificate(hypothec: Hypothec, tmp_path: Path) -> None:
    ran = hypothec("keys", "certificate", "venue", "demo", tmp_path / "demo", "--authority", tmp_path)
    assert ran.status == 2
    assert "authority.pem" in ran.err
    assert not (tmp_path / "demo").exists()

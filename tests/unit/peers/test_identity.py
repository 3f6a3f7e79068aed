"""Certificates name a role and a name, and nodes can be told apart by those who call them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from chains.errors import ConfigError
from node.model.identity import Identity, Role
from node.peers.identity import Authority, create_authority, issue

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("role", list(Role))
def test_an_identity_is_its_uri(role: Role) -> None:
    identity = Identity(role, "name-1.x_Y")
    assert identity.uri == f"spiffe://hypothec/{role.value}/name-1.x_Y"
    assert Identity.parse(identity.uri) == identity


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://hypothec/",
        "spiffe://hypothec/node",
        "spiffe://hypothec/node/",
        "spiffe://hypothec/king/x",
        "spiffe://hypothec/node/a/b",
        "spiffe://elsewhere/node/x",
        "https://hypothec/node/x",
        "spiffe://hypothec/node/x\n",
        "spiffe://hypothec/node/" + "x" * 64,
    ],
)
def test_any_other_uri_names_nobody(uri: str) -> None:
    assert Identity.parse(uri) is None


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "x" * 64])
def test_a_name_that_a_uri_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        Identity(Role.NODE, name)


@pytest.mark.parametrize("name", ["Node", "a.b", "-a", "a-", "a_b"])
def test_a_server_is_named_by_a_dns_label(name: str) -> None:
    with pytest.raises(ConfigError):
        _ = Identity(Role.NODE, name).server_name


def test_a_certificate_says_who_where_and_for_how_long() -> None:
    authority = create_authority("test", NOW)
    node = issue(authority, Identity(Role.NODE, "node-3"), ["127.0.0.1", "node.example"], NOW)
    assert node.authority == authority.certificate
    certificate = x509.load_pem_x509_certificate(node.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://hypothec/node/node-3"]
    assert names.get_values_for_type(x509.DNSName) == ["node-3.node.hypothec", "node.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1")]
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    assert certificate.not_valid_before_utc < NOW
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))


def test_only_a_node_may_serve() -> None:
    authority = create_authority("test", NOW)
    for role in Role:
        certificate = x509.load_pem_x509_certificate(issue(authority, Identity(role, "x"), [], NOW).certificate)
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert (ExtendedKeyUsageOID.SERVER_AUTH in usages) == (role is Role.NODE)
        assert ExtendedKeyUsageOID.CLIENT_AUTH in usages


def test_an_authority_that_cannot_be_read_is_refused() -> None:
    sound = create_authority("test", NOW)
    for broken in (Authority(b"", sound.key), Authority(sound.certificate, b"x")):
        with pytest.raises(ConfigError):
            issue(broken, Identity(Role.VENUE, "a"), [], NOW)


def test_keys_do_not_show_in_logs() -> None:
    authority = create_authority("test", NOW)
    assert "PRIVATE" not in repr(authority) + repr(issue(authority, Identity(Role.VENUE, "a"), [], NOW))

"""Who is at the other end of a connection: a role and a name, as a certificate's SAN URI says them.

    spiffe://hypothec/<role>/<name>

Owns the form of that URI and the PEM files that stand for an identity. Must not know transports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from chains.errors import ConfigError

_URI_PREFIX = "spiffe://hypothec/"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,63}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Role(StrEnum):
    """What the holder of a certificate may do; the value is part of its URI."""

    NODE = "node"
    VENUE = "venue"
    OPERATOR = "operator"
    OWNER = "owner"
    """Needs no certificate: an owner's requests are signed."""


_ROLES = frozenset(role.value for role in Role)


@dataclass(frozen=True, slots=True)
class Identity:
    """A role and a name; raises ConfigError for a name that a URI cannot carry as it is."""

    role: Role
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError("name an identity with 1 to 63 of A-Z a-z 0-9 . _ -", name=self.name)

    def __str__(self) -> str:
        return f"{self.role}/{self.name}"

    @property
    def uri(self) -> str:
        return f"{_URI_PREFIX}{self.role}/{self.name}"

    @property
    def server_name(self) -> str:
        """The DNS name by which a client makes sure that it reached this server and no other holder of a certificate.

        Raises ConfigError for a name that is no DNS label.
        """
        if not _LABEL.fullmatch(self.name):
            raise ConfigError("name a server with lower-case letters, digits and inner hyphens", name=self.name)
        return f"{self.name}.{self.role}.hypothec"

    @classmethod
    def parse(cls, uri: str) -> Identity | None:
        """The identity that a URI names, None when it names none of ours."""
        if not uri.startswith(_URI_PREFIX):
            return None
        role, _, name = uri.removeprefix(_URI_PREFIX).partition("/")
        if role not in _ROLES or not _NAME.fullmatch(name):
            return None
        return cls(Role(role), name)


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """PEM bytes: the authority that certificates are checked against, and one's own certificate chain and key."""

    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)

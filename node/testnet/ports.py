"""Which port is whose: one after another from a base, or free ones by chance."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chains.errors import ConfigError
from node.testnet.errors import PortTaken

HOST = "127.0.0.1"
DEFAULT_BASE = 17400
PROXIES = 2
"""Before each chain; with the chain itself they are the three endpoints of every node."""
_FREE_RANGE = range(10_000, 32_768)
"""Below what systems give to outgoing connections: one of those could take a port between its choice and its use."""
_TRIES = 1_000
_given: set[int] = set()
"""Ports that this process gave out: who got one may not listen on it yet, so nobody else gets it."""
_LOCKS = Path(tempfile.gettempdir()) / f"hypothec-ports-{os.getuid()}"
"""One byte a port, locked by the process that gave the port out for as long as it lives."""


@dataclass(frozen=True, slots=True)
class ChainPorts:
    """Of one chain: anvil, and the proxies before it."""

    rpc: int
    proxies: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The five listeners of one node."""

    peers: int
    venues: int
    owners: int
    operator: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Ports:
    """All ports of a testnet."""

    chains: tuple[ChainPorts, ...]
    nodes: tuple[NodePorts, ...]

    @classmethod
    def plan(cls, chains: int, nodes: int, base: int) -> Ports:
        """Ports from `base` on, or free ones if it is 0. Raises PortTaken for one that cannot be bound now."""
        wanted = [f"chain {chain} ({what})" for chain in range(chains) for what in ("anvil", *["proxy"] * PROXIES)]
        listeners = ("peers", "venues", "owners", "operator", "metrics")
        wanted += [f"node {node} ({what})" for node in range(nodes) for what in listeners]
        if base and base + len(wanted) > 1 << 16:
            raise ConfigError("choose a lower --base-port", base_port=base, ports=len(wanted))
        with ExitStack() as held:  # all at once, or one port might be handed out twice
            found = iter(
                [
                    _bind(held, base + offset, purpose) if base else _bind_free(held, purpose)
                    for offset, purpose in enumerate(wanted)
                ]
            )
        return cls(
            tuple(ChainPorts(next(found), tuple(next(found) for _ in range(PROXIES))) for _ in range(chains)),
            tuple(NodePorts(*(next(found) for _ in listeners)) for _ in range(nodes)),
        )


def free_port() -> int:
    """A TCP port that was free just now and that no outgoing connection takes. Raises PortTaken if there is none."""
    with ExitStack() as held:
        return _bind_free(held, "a listener")


def _bind_free(held: ExitStack, purpose: str) -> int:
    for _ in range(_TRIES):
        port = secrets.choice(_FREE_RANGE)
        if port in _given:
            continue
        try:
            _bind(held, port, purpose)
        except PortTaken:
            continue
        if _claimed(port):
            _given.add(port)
            return port
    raise PortTaken("free some ports: none was found", wanted_for=purpose, first=_FREE_RANGE.start)


def _claimed(port: int) -> bool:
    """Whether no other process of this user, another testnet that has only begun, gave the port out."""
    try:
        fcntl.lockf(_lock_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):
        return False
    return True


@cache
def _lock_file() -> int:
    """Open until the process ends: to close it even once would give up every lock."""
    return os.open(_LOCKS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _bind(held: ExitStack, port: int, purpose: str) -> int:
    probe = held.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed connection holds no port
    try:
        probe.bind((HOST, port))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise PortTaken(
            f"port {port} is taken: free it, or choose others with --base-port (0 takes free ones)",
            port=port,
            wanted_for=purpose,
        ) from error
    bound: int = probe.getsockname()[1]
    return bound

"""Which port is whose: one after another from a base, or free ones of the system's choice."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from chains.errors import ConfigError
from node.testnet.errors import PortTaken

HOST = "127.0.0.1"
DEFAULT_BASE = 17400
PROXIES = 2
"""Before each chain; with the chain itself they are the three endpoints of every node."""


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
        with ExitStack() as held:  # all at once, or the system would hand out one port twice
            found = iter([_bind(held, base + offset if base else 0, purpose) for offset, purpose in enumerate(wanted)])
        return cls(
            tuple(ChainPorts(next(found), tuple(next(found) for _ in range(PROXIES))) for _ in range(chains)),
            tuple(NodePorts(*(next(found) for _ in listeners)) for _ in range(nodes)),
        )


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

from __future__ import annotations

import socket
import subprocess
import sys
from itertools import chain, count

import pytest

from chains.errors import ConfigError
from node.testnet import ports
from node.testnet.errors import PortTaken
from node.testnet.ports import HOST, Ports, free_port


def all_of(planned: Ports) -> list[int]:
    chains = [(item.rpc, *item.proxies) for item in planned.chains]
    nodes = [(item.peers, item.venues, item.owners, item.operator, item.metrics) for item in planned.nodes]
    return list(chain.from_iterable([*chains, *nodes]))


def test_free_ports_are_distinct() -> None:
    found = all_of(Ports.plan(2, 4, 0))
    assert len(set(found)) == len(found) == 2 * 3 + 4 * 5


def test_a_port_is_given_once_though_nobody_listens_on_it_yet() -> None:
    found = [free_port() for _ in range(500)]
    assert len(set(found)) == 500


def test_a_port_that_another_process_gave_out_is_not_given_until_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = next(port for port in count(free_port()) if port not in ports._given)
    monkeypatch.setattr(ports, "_FREE_RANGE", range(wanted, wanted + 1))
    other = (
        "from node.testnet import ports\n"
        f"ports._FREE_RANGE = range({wanted}, {wanted + 1})\n"
        "print(ports.free_port(), flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", other], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == f"{wanted}\n"
        with pytest.raises(PortTaken, match="none was found"):
            free_port()
        child.communicate("\n")
    assert free_port() == wanted


def test_ports_follow_the_base() -> None:
    base = 21_800
    assert all_of(Ports.plan(1, 2, base)) == list(range(base, base + 13))


def test_a_taken_port_is_named_with_what_wanted_it() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} is taken.*--base-port.*chain 0 \(anvil\)"):
            Ports.plan(1, 1, port)


def test_ports_end_at_65535() -> None:
    with pytest.raises(ConfigError, match="lower"):
        Ports.plan(2, 31, 65_500)

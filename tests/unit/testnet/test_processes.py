from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from node.testnet import lifeline
from node.testnet.errors import ProcessDied
from node.testnet.processes import Child
from node.testnet.waiting import until

FOREVER = (sys.executable, "-c", "import time; print('running', flush=True); time.sleep(1000)")
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
STUBBORN = (sys.executable, "-c", DEAF + "print('running', flush=True); time.sleep(1000)")


class Deaths(list[ProcessDied]):
    pass


@pytest.fixture
def deaths() -> Deaths:
    return Deaths()


def child(tmp_path: Path, deaths: Deaths, *command: str) -> Child:
    return Child("a process", command, tmp_path / "log", deaths.append)


async def running(started: Child) -> int:
    async def pid() -> int | None:
        return started.pid if "running" in started.tail() else None

    return await until(pid, "for the child", within=10, every=0.01)


async def death(deaths: Deaths) -> ProcessDied:
    async def first() -> ProcessDied | None:
        return deaths[0] if deaths else None

    return await until(first, "for the child's end", within=10, every=0.01)


async def test_it_is_gone_when_stopped_and_can_be_started_again(tmp_path: Path, deaths: Deaths) -> None:
    started = child(tmp_path, deaths, *FOREVER)
    await started.start()
    first = await running(started)
    await started.stop()
    assert started.pid is None
    assert not psutil.pid_exists(first)
    await started.start()
    assert await running(started) != first
    await started.kill()
    assert started.pid is None
    assert deaths == []


async def test_what_ignores_sigterm_is_killed(tmp_path: Path, deaths: Deaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.testnet.processes._GRACE_S", 0.2)
    started = child(tmp_path, deaths, *STUBBORN)
    await started.start()
    pid = await running(started)
    await started.stop()
    assert not psutil.pid_exists(pid)


async def test_an_end_that_nobody_asked_for_is_told_with_the_end_of_the_log(tmp_path: Path, deaths: Deaths) -> None:
    script = "print('first'); print('the last word'); raise SystemExit(3)"
    started = child(tmp_path, deaths, sys.executable, "-c", script)
    await started.start()
    died = await death(deaths)
    assert "a process ended by itself (exit status 3)" in str(died)
    assert died.tail == "first\nthe last word"
    assert str(died).endswith("the last word")


async def test_a_kill_from_outside_names_the_signal(tmp_path: Path, deaths: Deaths) -> None:
    started = child(tmp_path, deaths, *FOREVER)
    await started.start()
    os.kill(await running(started), signal.SIGKILL)
    assert "SIGKILL" in str(await death(deaths))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children with their parent")
def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    starter = (
        "import os, subprocess, sys, time\n"
        f"command = [sys.executable, '-I', '-S', {lifeline.__file__!r}, str(os.getpid()), 'sleep', '1000']\n"
        "child = subprocess.Popen(command, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        grandchild = psutil.Process(int(parent.stdout.readline()))
        with pytest.raises(psutil.TimeoutExpired):
            grandchild.wait(0.3)
        parent.kill()
    with suppress(psutil.NoSuchProcess):
        grandchild.wait(10)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE

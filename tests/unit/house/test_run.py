"""The script `run`, copied to machines that lack something: it says what is missing and what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared import REPOSITORY


class Machine:
    """A copy of the project's set-up files and a PATH with hardly anything on it."""

    def __init__(self, folder: Path) -> None:
        self.project, self.bin = folder / "a project", folder / "bin"
        self.project.mkdir()
        self.bin.mkdir()
        for name in ("run", "pyproject.toml", "constraints.txt", "package.json", "package-lock.json"):
            shutil.copy(REPOSITORY / name, self.project)
        for tool in ("sh", "dirname", "cat", "cksum", "date", "head", "uname"):
            (self.bin / tool).symlink_to(str(shutil.which(tool)))

    def has(self, name: str, prints: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\nprintf '%s\\n' '{prints}'\n")
        (self.bin / name).chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.project / "run"), *arguments]
        environment = {"PATH": str(self.bin), **environment}
        return subprocess.run(
            command, env=environment, cwd="/", check=False, capture_output=True, text=True, timeout=50
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_node(machine: Machine) -> None:
    result = machine.run("setup")
    assert (result.returncode, result.stdout) == (1, "")
    assert "Node.js 20 or newer with npm is needed" in result.stderr


def test_an_old_node(machine: Machine) -> None:
    machine.has("node", "v18.20.4")
    machine.has("npm", "10.0.0")
    result = machine.run("setup")
    assert result.returncode == 1
    assert "is v18.20.4; install a newer one" in result.stderr


def test_no_python(machine: Machine) -> None:
    machine.has("node", "v20.0.0")
    machine.has("npm", "10.0.0")
    result = machine.run("test")
    assert result.returncode == 1
    assert "no Python 3.11, 3.12 or 3.13" in result.stderr


def test_a_python_that_will_not_do(machine: Machine) -> None:
    machine.has("node", "v20.0.0")
    machine.has("npm", "10.0.0")
    result = machine.run("testnet", PYTHON="/bin/false")
    assert result.returncode == 1
    assert "PYTHON=/bin/false is not" in result.stderr


def test_a_linked_environment_is_used_as_it_is(machine: Machine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another checkout"
    (elsewhere / "bin").mkdir(parents=True)
    (elsewhere / "bin" / "hypothec").write_text("#!/bin/sh\necho here\n")
    (elsewhere / "bin" / "hypothec").chmod(0o755)
    (machine.project / ".venv").symlink_to(elsewhere)
    result = machine.run("testnet", PYTHON=sys.executable)
    assert (result.returncode, result.stdout, result.stderr) == (0, "here\n", "")


@pytest.mark.slow
def test_packages_that_cannot_be_had(machine: Machine) -> None:
    machine.has("node", "v20.0.0")
    machine.has("npm", "10.0.0")
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    result = machine.run("setup", PYTHON=sys.executable, **nowhere)
    assert result.returncode == 1
    assert "pip could not install the Python packages" in result.stderr
    assert not (machine.project / ".venv" / ".set-up").exists()


@pytest.mark.parametrize("arguments", [(), ("tests",), ("--help",)])
def test_an_unknown_command_shows_the_commands(machine: Machine, arguments: tuple[str, ...]) -> None:
    result = machine.run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "usage: ./run COMMAND" in result.stderr

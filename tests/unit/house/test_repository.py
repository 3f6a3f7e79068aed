"""What has to hold of the repository as a whole, whatever the code does."""

import hashlib
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.shared import REPOSITORY
from tools import proto

MAX_TRACKED_BYTES = 1 << 20
# The text of apache.org/licenses/LICENSE-2.0.txt, byte for byte.
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def _tracked() -> list[Path]:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return [REPOSITORY / name for name in listed.stdout.split("\0") if name]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line.partition("==") for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+", name) and re.fullmatch(r"[0-9][0-9a-z.]*", pin) for name, _, pin in pins)
    return {name: pin for name, _, pin in pins}


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted += [name for extra in project["project"]["optional-dependencies"].values() for name in extra]
    names = {_normal(match[0]) for name in wanted if (match := re.match(r"[\w.-]+", name))}
    assert len(names) == len(wanted)
    assert names <= _pins().keys()


def test_npm_packages_are_exact_and_locked_to_no_registry() -> None:
    wanted = json.loads((REPOSITORY / "package.json").read_text())["devDependencies"]
    locked = json.loads((REPOSITORY / "package-lock.json").read_text())["packages"]
    assert wanted == {name: locked[f"node_modules/{name}"]["version"] for name in wanted}
    assert not [name for name, package in locked.items() if "resolved" in package]


def test_the_lock_knows_every_platform_of_anvil() -> None:
    # npm leaves out what its registry did not offer to whoever wrote the lock, and npm ci then refuses the lock.
    locked = json.loads((REPOSITORY / "package-lock.json").read_text())["packages"]
    platforms = locked["node_modules/@foundry-rs/anvil"]["optionalDependencies"]
    assert {f"node_modules/{name}" for name in platforms} <= locked.keys()


def test_the_name_proto_is_left_to_proto_plus() -> None:
    assert not (REPOSITORY / "proto" / "__init__.py").exists()


def test_the_licence_is_the_whole_canonical_text() -> None:
    assert hashlib.sha256((REPOSITORY / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


def test_no_tracked_file_is_large() -> None:
    large = {str(path): path.stat().st_size for path in _tracked() if path.is_file()}
    assert not {name: size for name, size in large.items() if size > MAX_TRACKED_BYTES}


def test_the_stubs_are_what_the_sources_give() -> None:
    assert proto.stale() == []


MESSAGE = 'syntax = "proto3";\npackage hypothec.v1;\nimport "google/rpc/status.proto";\n'


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "hypothec" / "v1"
    folder.mkdir(parents=True)
    (folder / "thing.proto").write_text(f"{MESSAGE}message Thing {{\n  google.rpc.Status status = 1;\n}}\n")
    proto.generate(tmp_path, tmp_path)
    return tmp_path


def test_fresh_stubs_are_not_stale_and_pass_lint(sources: Path) -> None:
    assert proto.stale(sources) == []
    assert proto.lint(sources) == 0


def test_an_edited_source_makes_its_stubs_stale(sources: Path) -> None:
    with (sources / "hypothec/v1/thing.proto").open("a") as source:
        source.write("message Other {}\n")
    assert proto.stale(sources) == ["hypothec/v1/thing_pb2.py", "hypothec/v1/thing_pb2.pyi"]


def test_a_stub_without_a_source_is_stale(sources: Path) -> None:
    (sources / "hypothec/v1/gone_pb2.py").touch()
    assert proto.stale(sources) == ["hypothec/v1/gone_pb2.py"]


def test_a_source_that_breaks_a_rule_fails_lint(sources: Path) -> None:
    (sources / "hypothec/v1/thing.proto").write_text(f"{MESSAGE}message thing {{\n  bytes BadName = 1;\n}}\n")
    assert proto.lint(sources) != 0


def test_a_source_that_does_not_compile_is_an_error(sources: Path) -> None:
    (sources / "hypothec/v1/thing.proto").write_text("message {")
    with pytest.raises(proto.ProtoError, match="protoc refused"):
        proto.stale(sources)

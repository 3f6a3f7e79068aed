"""Generate the stubs of `hypothec.v1` beside their sources, prove that they are current, and lint the sources.

    python -m tools.proto            write the stubs
    python -m tools.proto --check    fail if the checked-in stubs are not what the sources give today
    python -m tools.proto --lint     buf's STANDARD rules, without a network

Everything comes from PyPI: protoc from grpcio-tools, types from mypy-protobuf, google/*.proto from
googleapis-common-protos, buf from buf-bin. Their versions are pinned, so the same sources give the same bytes.
"""

import argparse
import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "proto"
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
_SCRIPTS = Path(sysconfig.get_path("scripts"))


class ProtoError(Exception):
    """The sources do not compile, or a package that the generator needs is not installed."""


def generate(out: Path, sources: Path = SOURCES) -> None:
    """Write the stubs of every source under `sources` to `out`, in the same folders. Raises ProtoError."""
    if names := _names(sources):
        _protoc(
            sources,
            f"--plugin=protoc-gen-mypy={_SCRIPTS / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={_SCRIPTS / 'protoc-gen-mypy_grpc'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *names,
        )


def stale(sources: Path = SOURCES) -> list[str]:
    """Stubs beside `sources` that are missing, differ from a fresh generation, or have lost their source."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch), sources)
        fresh, kept = _stubs(Path(scratch)), _stubs(sources)
    return sorted(name for name in fresh.keys() | kept.keys() if fresh.get(name) != kept.get(name))


def lint(sources: Path = SOURCES) -> int:
    """Run `buf lint` over what protoc parsed, so that imports of google/*.proto resolve. Returns buf's status."""
    if not (names := _names(sources)):
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "hypothec.binpb"
        _protoc(sources, "--include_imports", "--include_source_info", f"--descriptor_set_out={image}", *names)
        buf, config = _SCRIPTS / "buf", SOURCES / "buf.yaml"
        command = [str(buf), "lint", str(image), f"--config={config}", "--path=hypothec"]
        return subprocess.run(command, check=False).returncode


def _names(sources: Path) -> list[str]:
    return sorted(str(path.relative_to(sources)) for path in sources.glob("hypothec/**/*.proto"))


def _stubs(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.glob("hypothec/**/*")
        if path.name.endswith(SUFFIXES)
    }


def _protoc(sources: Path, *arguments: str) -> None:
    status = protoc.main(["protoc", *(f"-I{path}" for path in (sources, *_includes())), *arguments])
    if status != 0:
        raise ProtoError(f"protoc refused the sources under {sources} (status {status}); its reasons stand above")


def _includes() -> list[Path]:
    """Where google/protobuf/*.proto and google/{api,rpc,type}/*.proto are installed."""
    found = []
    for package, above in (("grpc_tools", "_proto"), ("google.rpc", "../..")):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ProtoError(f"the package {package} is not installed; ./run setup installs it")
        found.append(Path(next(iter(spec.submodule_search_locations)), above).resolve())
    return found


def main() -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.proto", description="Stubs of hypothec.v1.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="fail if the checked-in stubs are not current")
    mode.add_argument("--lint", action="store_true", help="lint the sources with buf")
    chosen = parser.parse_args()
    try:
        if chosen.lint:
            return lint()
        if not chosen.check:
            generate(SOURCES)
            return 0
        changed = stale()
    except ProtoError as error:
        print(f"proto: {error}", file=sys.stderr)
        return 1
    for name in changed:
        print(f"proto: proto/{name} is not what its source gives today", file=sys.stderr)
    if changed:
        print("proto: run .venv/bin/python -m tools.proto and commit what it writes", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Compile the contracts and keep their artifacts current: `python -m chains.evm.contracts.build [--check]`.

Owns the compiler's settings and what of its output is checked in: everything that a machine without Node needs to
deploy the contracts and to know their code and storage, in a form that the same sources always give byte for byte.
Must not know any chain, key or network.

Node and the npm packages `solc` and `@openzeppelin/contracts` (`npm ci` in the checkout) are needed to build only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from chains.errors import ConfigError
from chains.evm.contracts import ContractName

HERE = Path(__file__).parent
ARTIFACTS = HERE / "artifacts"
NODE_MODULES = HERE.parents[2] / "node_modules"
SETTINGS: dict[str, Any] = {
    # The verifier runs for every state, deployment once: favour running.
    "optimizer": {"enabled": True, "runs": 10_000},
    "viaIR": True,
    # The oldest with transient storage, which the vault's guard uses; every later one runs it too.
    "evmVersion": "cancun",
    # No hash of the metadata in the code: it would change with a comment.
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
}
_OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"]


class BuildError(ConfigError):
    """The contracts do not compile, a tool is missing, or the artifacts are not what the sources give."""

    reason = "CONTRACT_BUILD_FAILED"


def compile_sources(sources: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Artifacts, by contract name, of all contracts in `sources` (file name to text); imports come from npm packages.

    Sources import each other by the names given here (`./Other.sol`). Raises BuildError, with the compiler's own words;
    a warning in our sources is an error.
    """
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sorted(sources.items())},
        "settings": SETTINGS | {"outputSelection": {"*": {"*": [*_OUTPUTS, "storageLayout"], "": ["ast"]}}},
    }
    output = json.loads(_run_solc(json.dumps(request)))
    problems = [found["formattedMessage"] for found in output.get("errors", []) if _matters(found, sources)]
    if problems:
        raise BuildError("the contracts do not compile; fix the sources:\n" + "\n".join(problems))
    names = _variable_names(output["sources"])
    return {
        name: _artifact(name, file, contract, names)
        for file in sources
        for name, contract in output["contracts"].get(file, {}).items()
    }


def own_sources() -> dict[str, str]:
    """The project's Solidity sources, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((HERE / "src").glob("*.sol"))}


def build() -> dict[Path, str]:
    """What every artifact file should hold, compiled now."""
    artifacts = compile_sources(own_sources())
    return {
        ARTIFACTS / f"{name}.json": json.dumps(artifacts[name], indent=1, sort_keys=True) + "\n"
        for name in get_args(ContractName)
    }


def stale(wanted: Mapping[Path, str]) -> list[Path]:
    """Artifact files that are missing, differ from `wanted`, or belong to no contract."""
    present = set(ARTIFACTS.glob("*.json"))
    differing = [path for path, text in wanted.items() if path not in present or path.read_text("utf-8") != text]
    return sorted(differing) + sorted(present - wanted.keys())


def _run_solc(request: str) -> str:
    if not (NODE_MODULES / "solc").is_dir():
        raise BuildError("the compiler is missing; run `npm ci` in the checkout", expected=str(NODE_MODULES / "solc"))
    command = ["node", str(HERE / "compile.cjs"), str(NODE_MODULES)]
    try:
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=300, check=False)
    except FileNotFoundError as missing:
        raise BuildError("node is missing; install Node 20 or newer") from missing
    if done.returncode != 0:
        raise BuildError(f"the compiler stopped; its words:\n{done.stderr}", exit_code=done.returncode)
    return done.stdout


def _matters(found: Mapping[str, Any], sources: Mapping[str, str]) -> bool:
    """Errors anywhere, and warnings in our own sources; a library's warnings are its authors'."""
    return found["severity"] == "error" or (
        found["severity"] == "warning" and found.get("sourceLocation", {}).get("file") in sources
    )


def _artifact(name: str, file: str, contract: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    code = contract["evm"]["deployedBytecode"]
    layout = contract["storageLayout"]
    return {
        "name": name,
        "source": file,
        "abi": contract["abi"],
        "bytecode": "0x" + contract["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + code["object"],
        "immutables": {
            names[node]: [[place["start"], place["length"]] for place in places]
            for node, places in code.get("immutableReferences", {}).items()
        },
        "storage": [_variable(entry, layout["types"]) for entry in layout["storage"]],
    }


def _variable(entry: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    """A storage variable without the compiler's node numbers, which change with unrelated sources."""
    kind = types[entry["type"]]
    variable = {
        "label": entry["label"],
        "slot": int(entry["slot"]),
        "offset": entry["offset"],
        "bytes": int(kind["numberOfBytes"]),
        "type": kind["label"],
    }
    innermost = kind
    while "value" in innermost:
        innermost = types[innermost["value"]]
    if "members" in innermost:
        variable["members"] = [_variable(member, types) for member in innermost["members"]]
    return variable


def _variable_names(sources: Mapping[str, Any]) -> dict[str, str]:
    """Names of contract variables by the node numbers under which the compiler lists immutables."""
    return {
        str(node["id"]): node["name"]
        for source in sources.values()
        for node in _nodes(source["ast"])
        if node.get("nodeType") == "VariableDeclaration" and node.get("stateVariable")
    }


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """State variables sit at most two levels deep: source unit, contract, variable."""
    for child in node.get("nodes", []):
        yield child
        yield from _nodes(child)


def main(arguments: list[str]) -> int:
    """Write the artifacts, or with `--check` fail if they are not what the sources give."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m chains.evm.contracts.build [--check]\n")
        return 2
    try:
        wanted = build()
    except BuildError as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    outdated = stale(wanted)
    listed = ", ".join(path.name for path in outdated) or "none"
    if not arguments:
        _write(wanted)
        sys.stdout.write(f"artifacts changed: {listed}\n")
    elif outdated:
        advice = "run `python -m chains.evm.contracts.build` and commit the result"
        sys.stderr.write(f"error: artifacts are not what the sources give: {listed}; {advice}\n")
        return 1
    return 0


def _write(wanted: Mapping[Path, str]) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    for path in set(ARTIFACTS.glob("*.json")) - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

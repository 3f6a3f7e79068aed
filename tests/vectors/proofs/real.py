"""The real proofs among the shared vectors, in the forms that the verifiers take."""

import json
from collections.abc import Iterator
from typing import Any

from tests.shared import shared

Json = dict[str, Any]


def load(name: str) -> Any:  # noqa: ANN401 - JSON of any form
    return json.loads((shared("vectors/proofs") / name).read_text())


def exchange(name: str) -> tuple[Json, Json]:
    """The request and the result of an execution-apis fixture, whose lines start with >> and <<."""
    lines = (shared("vectors/proofs/eip1186/execution-apis") / name).read_text().splitlines()
    request, answer = (next(json.loads(line[2:]) for line in lines if line.startswith(mark)) for mark in (">>", "<<"))
    return request, answer["result"]


def blocks() -> Iterator[tuple[str, Json]]:
    """Every valid block, by name."""
    for path in sorted(shared("vectors/proofs/eip1186/execution-apis").glob("eth_getBlockByNumber_*.io")):
        yield path.stem, exchange(path.name)[1]
    for path in sorted(shared("vectors/proofs/eip1186/ethereumjs_mainnet").glob("block*.json")):
        yield path.stem, json.loads(path.read_text())
    for path in sorted(shared("vectors/proofs/eip1186/lodestar").glob("*.json")):
        yield path.stem, json.loads(path.read_text())["execution"]["block"]
    yield "helios", load("eip1186/helios_mainnet_21925176/block.json")
    yield "optimism", load("headers/optimism/post-shanghai-success_data.json")


def anchored_proofs() -> Iterator[tuple[str, Json, Json]]:
    """Every (name, block, answer to eth_getProof) where the block has the answer's state root."""
    latest = exchange("eth_getBlockByNumber_get-latest.io")[1]
    yield "execution-apis", latest, exchange("eth_getProof_get-account-proof-with-storage.io")[1]
    helios = "eip1186/helios_mainnet_21925176"
    yield "helios", load(f"{helios}/block.json"), load(f"{helios}/proof.json")
    for path in sorted(shared("vectors/proofs/eip1186/lodestar").glob("*.json")):
        file = json.loads(path.read_text())
        for index, made in enumerate(file["dependentRequests"]):
            for payload, response in pairs(made):
                if payload["method"] == "eth_getProof":
                    yield f"{path.stem}-{index}-{payload['id']}", file["execution"]["block"], response["result"]


def pairs(made: Json) -> Iterator[tuple[Json, Json]]:
    """The requests and responses of one entry, which may be a batch."""
    if isinstance(made["payload"], list):
        yield from zip(made["payload"], made["response"], strict=True)
    else:
        yield made["payload"], made["response"]


def rooted_proofs() -> Iterator[tuple[str, Json]]:
    """Every (name, answer to eth_getProof) that comes without its block: its root is what its first node hashes to."""
    for name in ("ropsten_validAccount", "ropsten_contractWithStorage"):
        yield name, load(f"eip1186/ethereumjs_ropsten/{name}.json")
    for path in sorted(shared("vectors/proofs/eip1186/ethereumjs_mainnet").glob("0x*.json")):
        for tag, answer in json.loads(path.read_text()).items():
            yield f"{path.stem}@{tag}", answer
    yield "union", load("eip1186/union_sepolia/valid_storage_proof.json")

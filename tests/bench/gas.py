"""Gas of one accepted state and of one seizure, by number of signatures: `python -m tests.bench.gas`.

Owns what is measured: `gasUsed` of whole transactions, calldata included, on slots that were nonzero before. Must not
know what the figures are compared with beyond the published ones that it prints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eth_utils.crypto import keccak
from rich.console import Console
from rich.table import Table

from chains.evm.contracts import Artifact, artifact, build, parse_artifact
from tests.integration.contracts.digests import state_digest
from tests.integration.contracts.harness import Chain, Committee, running_chain
from tests.integration.contracts.world import World

SIGNATURES = (2, 3, 5, 10, 21)
MAX_SIGNERS = 31
SCRIBE_POKE = {5: 81_025, 10: 106_395, 20: 159_488}
"""Gas of Chronicle Scribe's `poke` by number of signers (its docs/Benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class GasTable:
    """Gas by number of signatures."""

    state: Mapping[int, int]
    seizure: Mapping[int, int]

    def as_json(self) -> dict[str, dict[str, int]]:
        """The `gas` object of the bench's output."""
        return {
            "state": {str(count): gas for count, gas in self.state.items()},
            "seizure": {str(count): gas for count, gas in self.seizure.items()},
        }


def measure(url: str) -> GasTable:
    """Deploy and run on the anvil at `url`, whose unlocked accounts pay.

    At 21, the accepted state is measured with a higher threshold (`RaisedThreshold.sol`): with 31 signers f + 1 is
    at most 11.
    """
    chain = Chain.at(url)
    return GasTable(
        state={count: accepted_state(chain, count) for count in SIGNATURES},
        seizure={count: seizure(chain, count) for count in SIGNATURES},
    )


def accepted_state(chain: Chain, count: int) -> int:
    """Gas of a state accepted by `count` signatures, after two others."""
    faulty = count - 1
    if 3 * faulty + 1 <= MAX_SIGNERS:
        committee, verifier_code = Committee(3 * faulty + 1, faulty, f"state {count}"), artifact("StateVerifier")
    else:
        committee, verifier_code = Committee(MAX_SIGNERS, 10, f"state {count}"), _raised_threshold()
    verifier = chain.deploy(verifier_code, committee.config, committee.f, committee.addresses)
    assert verifier.functions.stateQuorum().call() == count
    started = chain.now() * 1000 + 123
    used = 0
    for sequence in range(1_000_001, 1_000_004):
        header, time_ms = keccak(text=f"header {sequence}"), started + sequence
        digest = state_digest(committee.config, chain.chain_id, verifier.address, sequence, header, time_ms)
        signatures = committee.sign(digest, range(committee.n - count, committee.n))
        used = chain.send(verifier.functions.accept(sequence, header, time_ms, signatures))["gasUsed"]
    return used


def seizure(chain: Chain, count: int) -> int:
    """Gas of a seizure of one ERC-20 item by `count` signatures, after another to the same payee."""
    faulty = (count - 1) // 2
    world = World.deploy(chain, Committee(2 * count - 1 - faulty, faulty, f"seizure {count}"))
    assert world.committee.quorum == count
    world.deposit(10**12)
    used = 0
    for nonce in (1, 2):
        used = chain.send(world.call("seizure", world.release(10**9, nonce=nonce)))["gasUsed"]
    return used


def _raised_threshold() -> Artifact:
    own = build.own_sources()
    sources = {name: own[name] for name in ("IStateVerifier.sol", "StateVerifier.sol")}
    sources["RaisedThreshold.sol"] = Path(__file__).with_name("RaisedThreshold.sol").read_text(encoding="utf-8")
    return parse_artifact(json.dumps(build.compile_sources(sources)["RaisedThreshold"]))


def main() -> None:
    """Print the figures beside those that Scribe publishes."""
    started = time.monotonic()
    with running_chain() as chain:
        table = measure(str(chain.web3.provider.endpoint_uri))  # type: ignore[attr-defined]
    shown = Table("signatures", "accepted state", "seizure", "Scribe poke (published)")
    for count in sorted({*SIGNATURES, *SCRIBE_POKE}):
        row = (table.state.get(count), table.seizure.get(count), SCRIBE_POKE.get(count))
        shown.add_row(str(count), *("" if gas is None else f"{gas:,}" for gas in row))
    console = Console()
    console.print(shown)
    console.print(f"measured in {time.monotonic() - started:.1f} s; at 21, a state with a raised threshold")


if __name__ == "__main__":
    main()

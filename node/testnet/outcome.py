"""What a testnet showed, as people and scripts read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of durations in milliseconds, by nearest rank."""

    p50: float
    p99: float
    count: int

    @classmethod
    def of(cls, durations: Sequence[float]) -> Percentiles | None:
        """None of nothing."""
        ordered = sorted(durations)
        if not ordered:
            return None

        def at(percent: int) -> float:
            return round(ordered[-(-len(ordered) * percent // 100) - 1], 1)

        return cls(at(50), at(99), len(ordered))

    def as_json(self) -> dict[str, float | int]:
        return {"p50": self.p50, "p99": self.p99}


@dataclass(frozen=True, slots=True)
class Seizure:
    """One leg, carried out: the vault's transaction, and what the account and the payee had before and after."""

    chain_id: int
    tx: str
    before: dict[str, str]
    after: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of the story. `deposit_to_state_rounds` is the worst of all deposits (see `lag`)."""

    nodes: int
    chains: int
    account: str
    rounds: Percentiles | None
    deposit_to_state_rounds: int
    statuses: tuple[str, ...]
    attested: bool
    attested_in_state: int
    seizures: tuple[Seizure, ...]
    acknowledged_usd: str
    seconds: dict[str, float]

    def as_json(self, total_s: float) -> str:
        """One object on one line; `total_s` from the command to the end of the story."""
        return json.dumps(
            {
                "nodes": self.nodes,
                "chains": self.chains,
                "round_ms": self.rounds.as_json() if self.rounds is not None else None,
                "rounds": self.rounds.count if self.rounds is not None else 0,
                "deposit_to_state_rounds": self.deposit_to_state_rounds,
                "account": self.account,
                "statuses": self.statuses,
                "liquidation": {
                    "attested": self.attested,
                    "sequence": self.attested_in_state,
                    "acknowledged_usd": self.acknowledged_usd,
                    "seizures": [
                        {"chain_id": item.chain_id, "tx": item.tx, "before": item.before, "after": item.after}
                        for item in self.seizures
                    ],
                },
                "seconds": {**self.seconds, "total": total_s},
            }
        )

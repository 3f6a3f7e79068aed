"""What operators can graph of each rollup, read when metrics are asked for. Must not know how it is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chains.adapter import Settlement
from chains.types import Assurance, ChainId


class SettlementGauges(Collector):
    """How far L1 has settled each rollup, and how its sequencer does. What is not known has no sample."""

    def __init__(self, settlements: Callable[[], Mapping[ChainId, Settlement | None]]) -> None:
        self._settlements = settlements

    def collect(self) -> Iterable[Metric]:
        settled = GaugeMetricFamily(
            "hypothec_rollup_settled_height", "Newest block that L1 has settled", labels=("chain", "finality")
        )
        l1 = GaugeMetricFamily("hypothec_rollup_l1_height", "Final L1 block of the last look", labels=("chain",))
        proven = GaugeMetricFamily("hypothec_rollup_l1_proven", "0 where a quorum attests L1", labels=("chain",))
        silent = GaugeMetricFamily("hypothec_rollup_silent_seconds", "Final L1 block less its own", labels=("chain",))
        halted = GaugeMetricFamily("hypothec_rollup_sequencer_halted", "1 while it is silent", labels=("chain",))
        for chain_id, found in self._settlements().items():
            if found is None:
                continue
            chain = (str(chain_id),)
            for name, claim in (("passed", found.passed), ("proposed", found.proposed)):
                if claim is not None:
                    settled.add_metric((*chain, name), claim.height)
            l1.add_metric(chain, found.l1_height)
            proven.add_metric(chain, found.l1_assurance is Assurance.PROVEN)
            silent.add_metric(chain, found.silent)
            halted.add_metric(chain, found.halted)
        return settled, l1, proven, silent, halted

"""What operators can graph of each endpoint, read when metrics are asked for. Must not know what they serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chains.types import ChainId, EndpointStanding

_LABELS = ("chain", "endpoint")


class EndpointGauges(Collector):
    """Latency, lag and standing by chain and endpoint. What is not known now has no sample."""

    def __init__(self, standings: Callable[[], Mapping[ChainId, Sequence[EndpointStanding]]]) -> None:
        self._standings = standings

    def collect(self) -> Iterable[Metric]:
        trusted = GaugeMetricFamily("hypothec_endpoint_trusted", "0 while it is set aside", labels=_LABELS)
        latency = GaugeMetricFamily("hypothec_endpoint_latency_seconds", "Until an answer, smoothed", labels=_LABELS)
        lag = GaugeMetricFamily("hypothec_endpoint_lag_blocks", "Agreed final block less its own", labels=_LABELS)
        for chain_id, standings in self._standings().items():
            for each in standings:
                labels = (str(chain_id), each.name)
                trusted.add_metric(labels, each.trusted)
                if each.latency:
                    latency.add_metric(labels, each.latency)
                if each.lag is not None:
                    lag.add_metric(labels, each.lag)
        return trusted, latency, lag

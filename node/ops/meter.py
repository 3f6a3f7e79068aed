"""Counts and logs what operators should see: one counter, one log line, one static name for each thing.

An event's labels are in the log line in full; only the few named in `_LABELS` are labels of the counter, so that its
cardinality stays bounded. Must not know what the events mean.
"""

from __future__ import annotations

from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chains.errors import HypothecError
from chains.types import EndpointFault

_LABELS: Final = ("chain", "endpoint", "peer", "venue", "reason")
ROUND_BUCKETS: Final = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)


class Meter:
    """One node's counters and its log. `registry` is what the metrics listener shows."""

    def __init__(self, registry: CollectorRegistry, node: str) -> None:
        self.registry = registry
        self._log = structlog.get_logger(node=node)
        self._events = Counter("hypothec_events", "What happened, by event", ["event", *_LABELS], registry=registry)
        self.sequence = Gauge("hypothec_state_sequence", "Sequence of the newest committed state", registry=registry)
        self.state_time = Gauge("hypothec_state_time_seconds", "Time of the newest state", registry=registry)
        self.clock_offset = Gauge("hypothec_clock_offset_seconds", "Own clock less state time", registry=registry)
        self.round_seconds = Histogram(
            "hypothec_round_seconds",
            "From a round's start at this node to its committed state",
            buckets=ROUND_BUCKETS,
            registry=registry,
        )

    def installed(self, sequence: int, time_ms: int, now_ms: int) -> None:
        """The newest committed state is another one; times in unix milliseconds."""
        self.sequence.set(sequence)
        self.state_time.set(time_ms / 1000)
        self.clock_offset.set((now_ms - time_ms) / 1000)

    def count(self, event: str, **labels: object) -> None:
        """Something that operators should know happened."""
        self._inc(event, labels)
        self._log.info(event, **labels)

    def fault(self, event: str, error: BaseException, **labels: object) -> None:
        """Something failed; the error says whose fault it is and what to do."""
        reason = error.reason if isinstance(error, HypothecError) else type(error).__name__
        self._inc(event, {**labels, "reason": reason})
        self._log.warning(event, reason=reason, error=str(error), **labels)

    def endpoint_fault(self, fault: EndpointFault) -> None:
        """An endpoint was caught: name it."""
        labels = {"chain": fault.chain_id, "endpoint": fault.endpoint, "reason": fault.reason}
        self._inc("endpoint.fault", labels)
        self._log.warning("endpoint.fault", **labels, detail=fault.detail)

    def _inc(self, event: str, labels: dict[str, object]) -> None:
        self._events.labels(event, *(str(labels.get(name, "")) for name in _LABELS)).inc()

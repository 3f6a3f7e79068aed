"""What operators can graph of endpoints."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from chains.types import ChainId, EndpointStanding, Height
from node.ops.endpoints import EndpointGauges


def standing(name: str, latency: float, lag: int | None, *, trusted: bool) -> EndpointStanding:
    height = None if lag is None else Height(100 - lag)
    return EndpointStanding(name, trusted, latency, height, lag, 0, 0, 0.0, "")


def test_each_endpoint_has_its_latency_and_lag_and_what_is_not_known_is_not_told() -> None:
    registry = CollectorRegistry()
    now = [standing("a", 0.25, 3, trusted=True), standing("b", 0.0, None, trusted=False)]
    registry.register(EndpointGauges(lambda: {ChainId(7): now}))

    def sample(name: str, endpoint: str) -> float | None:
        return registry.get_sample_value(f"hypothec_endpoint_{name}", {"chain": "7", "endpoint": endpoint})

    assert [sample(name, "a") for name in ("trusted", "latency_seconds", "lag_blocks")] == [1, 0.25, 3]
    assert [sample(name, "b") for name in ("trusted", "latency_seconds", "lag_blocks")] == [0, None, None]
    now.pop()
    assert sample("trusted", "b") is None

"""What operators can graph of the newest state."""

from prometheus_client import CollectorRegistry

from node.ops.meter import Meter


def test_the_newest_state_and_the_clock_are_gauges() -> None:
    registry = CollectorRegistry()
    meter = Meter(registry, "node-0")
    meter.installed(7, 1_700_000_000_500, 1_700_000_000_750)
    assert registry.get_sample_value("hypothec_state_sequence") == 7
    assert registry.get_sample_value("hypothec_state_time_seconds") == 1_700_000_000.5
    assert registry.get_sample_value("hypothec_clock_offset_seconds") == 0.25

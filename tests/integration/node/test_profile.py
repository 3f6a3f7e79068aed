"""Four whole nodes judge accounts by static rules, and by the profile `hypothec` once its policy is in force."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from hypothec.client import VenueClient
from node.cli import app
from node.model.health import HealthStatus, Reason
from node.model.reports import Position, ReportEntry
from tests import kit
from tests.integration.node.harness import network_of_nodes, secret, venue_tls
from tests.integration.node.test_free import ask, network
from tests.integration.node.test_network import eventually, reaches, status

AT_ONCE = {"policy_timelock = 60": "policy_timelock = 0"}


def put(strike: int) -> str:
    """A put that expires in some half a year, as venues name it."""
    day = datetime.fromtimestamp(time.time() + 200 * 86_400, UTC)
    return f"ETH-{day.day}{day:%b%y}-{strike}-P".upper()


async def test_a_profile_takes_over_and_options_count(tmp_path: Path) -> None:
    owner, venue, made = kit.Owner(), kit.Venue(), kit.hypothec_policy(2, AT_ONCE)
    (tmp_path / "policy-2.toml").write_bytes(made.body)
    async with network_of_nodes(tmp_path) as net:
        await reaches(net, 0, 2)
        for chain in net.chains.values():
            chain.deposit(owner.account, kit.TOKEN, 10 * kit.ETHER)
        await ask(net, owner.link())
        await ask(net, owner.authorize(limit_usd=100_000))
        positions = (Position("ETH-PERP", 50 * kit.ETHER, 2_000 * kit.USD), Position(put(1_800), 50 * kit.ETHER, 0))
        ordered = tuple(sorted(positions, key=lambda each: each.instrument))
        listener = f"127.0.0.1:{net.places[1].ports['venues']}"
        async with VenueClient(listener, network(net), venue_tls(tmp_path)) as node:
            await node.report_positions(venue.report(ReportEntry(owner.account, ordered, 0, 0)))
            before = await eventually(
                lambda: node.get_health(owner.account),
                lambda found: bool(found.health.venues and found.health.holdings),
            )
        assert before.health.rules == "haircuts"
        assert Reason.UNKNOWN_INSTRUMENT in before.health.reasons

        file, at = str(tmp_path / "policy-2.toml"), str(int(time.time()) + 3)
        common = [file, "--network", str(tmp_path / "network.toml"), "--activates-at", at]
        signatures: list[str] = []
        for name in ("policy a", "policy b"):
            secret(tmp_path / name, kit.key(name).secret)
            signed = CliRunner().invoke(app, ["policy", "sign", *common, "--key", str(tmp_path / name)])
            assert signed.exit_code == 0, signed.output
            signatures += ["--signature", signed.output.strip()]
        submit = ["policy", "submit", *common, *signatures, "--node", net.operator(0)]
        taken = await asyncio.to_thread(CliRunner().invoke, app, submit)
        assert taken.exit_code == 0, taken.output
        await eventually(lambda: status(net, 3), lambda answer: answer.state.policy_hash == made.hash)
        for index in range(4):
            async with VenueClient(net.operator(index), network(net), None) as node:
                after = await eventually(
                    lambda node=node: node.get_health(owner.account),  # type: ignore[misc]
                    lambda found: found.health.rules == "hypothec" and not found.health.reasons,
                )
            assert after.health.status is HealthStatus.HEALTHY, "the puts hedge what they are on"
            assert after.health.venues[0].profit.low > 0
            assert set(after.context.prices) == {"ETH", "ETH-VOL"}

        asked = ["query", "health", "0x" + owner.account.hex(), "--node", net.operator(2)]
        asked += ["--network", str(tmp_path / "network.toml"), "--save", str(tmp_path / "answer.json")]
        shown = json.loads((await asyncio.to_thread(CliRunner().invoke, app, asked)).stdout)
        assert (shown["rules"], shown["decided_by"], set(shown["maintenance_rows"])) == (
            "hypothec",
            "low",
            {"low", "high"},
        )
    saved = ["verify", str(tmp_path / "answer.json"), "--network", str(tmp_path / "network.toml")]
    [offline] = json.loads(CliRunner().invoke(app, saved).stdout)["accounts"]
    assert (offline["rules"], offline["maintenance_rows"]) == (shown["rules"], shown["maintenance_rows"])

"""Verified values as JSON for people and their scripts: money in USD as decimal text, hashes as 0x."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import typer

from chains.errors import printable
from hypothec.client import AttestedRelease, VerifiedAnswer
from node.model.header import Header
from node.model.health import Health, HoldingLine, Interval, VenueLine

_PICO = -12


def print_json(value: object) -> None:
    """On standard output, indented."""
    typer.echo(json.dumps(value, indent=2))


def print_lines(lines: Iterable[str]) -> None:
    """On standard output, as text; the names of strangers in it cannot break lines or speak to the terminal."""
    typer.echo("\n".join(map(printable, lines)))


def usd(amount: int) -> str:
    """1e-12 USD as USD, exactly."""
    return format(Decimal(amount).scaleb(_PICO).normalize(), "f")


def shown_interval(interval: Interval) -> dict[str, str]:
    """Both ends in USD."""
    return {"low": usd(interval.low), "high": usd(interval.high)}


def shown_state(header: Header) -> dict[str, Any]:
    """Which state, of when, and of which past of each chain."""
    return {
        "sequence": header.sequence,
        "hash": "0x" + header.hash().hex(),
        "time_ms": header.time_ms,
        "policy_hash": "0x" + header.policy_hash.hex(),
        "chains": [
            {
                "chain_id": chain.cut.chain_id,
                "height": chain.cut.height,
                "block_hash": "0x" + chain.cut.block_hash.hex(),
                "age_ms": header.time_ms - chain.cut.time * 1000,
                "assurance": chain.assurance.name,
                "status": chain.status.name,
            }
            for chain in header.chains
        ],
    }


def shown_health(health: Health) -> dict[str, Any]:
    """One account's health with its breakdown."""
    return {
        "account": "0x" + health.account.hex(),
        "status": health.status.name,
        "rules": health.rules,
        "decided_by": health.status.decided_by,
        "initial_excess_usd": shown_interval(health.initial_excess),
        "maintenance_excess_usd": shown_interval(health.maintenance_excess),
        **{name: {"low": rows[0], "high": rows[1]} for name, rows in _deciding(health) if rows is not None},
        "reasons": list(health.reasons),
        "holdings": [_holding(line) for line in health.holdings],
        "free": [{"wallet": "0x" + (line.wallet or b"").hex(), **_holding(line)} for line in health.free],
        "venues": [_venue(line) for line in health.venues],
    }


def _deciding(health: Health) -> Iterator[tuple[str, tuple[str, str] | None]]:
    """The scenarios that decide, of rules that have any."""
    yield "initial_rows", health.initial_rows
    yield "maintenance_rows", health.maintenance_rows


def _holding(line: HoldingLine) -> dict[str, Any]:
    return {
        "chain_id": line.chain_id,
        "token": "0x" + line.token.hex(),
        "asset": line.asset,
        "amount": str(line.amount),
        "value_usd": shown_interval(line.value),
        "reasons": list(line.reasons),
    }


def _venue(line: VenueLine) -> dict[str, Any]:
    return {
        "venue": line.venue,
        "claim_usd": shown_interval(line.claim),
        "maintenance_margin_usd": shown_interval(line.maintenance),
        "receivable_usd": usd(line.receivable),
        "reasons": list(line.reasons),
    }


def shown_answer(verified: VerifiedAnswer) -> dict[str, Any]:
    """A whole answer, and who certified it."""
    return {
        "verified": True,
        "state": shown_state(verified.header),
        "signed_by": list(verified.certificate.signer_indices),
        "accounts": [shown_health(item.health) for item in verified.accounts.values()],
    }


def shown_release(attested: AttestedRelease) -> dict[str, Any]:
    """A release as a vault takes it."""
    release = attested.release
    return {
        "kind": release.kind.name,
        "chain_id": release.chain_id,
        "vault": "0x" + release.vault.hex(),
        "account": "0x" + release.account.hex(),
        "nonce": release.nonce,
        "payee": "0x" + release.payee.hex(),
        "items": [
            {"token": "0x" + item.token.hex(), "amount": str(item.amount), "minimum": str(item.minimum)}
            for item in release.items
        ],
        "reference": "0x" + release.reference.hex(),
        "sequence": release.sequence,
        "expiry": release.expiry,
        "signatures": "0x" + attested.signatures.hex(),
    }

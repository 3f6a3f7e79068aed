"""Certified values in the words of hypothec.v1, decoded for the reader's convenience.

Both ends use these: a node to fill its answers in, a client to recompute what must stand there. So each function
depends on certified bytes and on what follows from them, and on nothing else: no clock, no node's own opinion.
"""

from __future__ import annotations

from collections.abc import Iterable

from chains.errors import InputError
from chains.types import AccountId, Address, Amount, ChainId, Control, Hash32, TokenFact
from hypothec.v1 import health_pb2, release_pb2, state_pb2
from node.attestation.release import AttestedRelease
from node.model.digests import Release, ReleaseItem, ReleaseKind
from node.model.frame import FramePrice
from node.model.header import ChainState, Header
from node.model.health import Health, HoldingLine, Interval, Reason, VenueLine
from node.model.ledger import AccountView

_KINDS = {
    ReleaseKind.WITHDRAWAL: release_pb2.RELEASE_KIND_WITHDRAWAL,
    ReleaseKind.SEIZURE: release_pb2.RELEASE_KIND_SEIZURE,
}


def describe_state(header: Header) -> state_pb2.StateSummary:
    """A header, decoded."""
    return state_pb2.StateSummary(
        hash=header.hash(),
        sequence=header.sequence,
        time_ms=header.time_ms,
        policy_hash=header.policy_hash,
        chains=[_cut(chain, header.time_ms) for chain in header.chains],
    )


def _cut(chain: ChainState, time_ms: int) -> state_pb2.ChainCut:
    return state_pb2.ChainCut(
        chain_id=chain.cut.chain_id,
        height=chain.cut.height,
        block_hash=chain.cut.block_hash,
        block_time=chain.cut.time,
        certified_at_ms=chain.certified_at_ms,
        age_ms=_age_ms(chain.cut.time, time_ms),
        assurance=state_pb2.Assurance.ValueType(chain.assurance),
        status=state_pb2.ChainStatus.ValueType(chain.status),
    )


def describe_price(price: FramePrice, time_ms: int) -> health_pb2.AssetPrice:
    """A leaf of the frame, decoded; `time_ms` is the state's."""
    return health_pb2.AssetPrice(
        asset=price.asset,
        status=health_pb2.PriceStatus.ValueType(price.status),
        low=str(price.low),
        price=str(price.price),
        high=str(price.high),
        published_at=price.published_at,
        age_ms=_age_ms(price.published_at, time_ms),
        sources=price.sources,
        assurance=state_pb2.Assurance.ValueType(price.assurance),
    )


def describe_token(chain_id: ChainId, token: Address, fact: TokenFact) -> health_pb2.VaultToken:
    """A token's leaf in a chain's map, decoded."""
    return health_pb2.VaultToken(
        chain_id=chain_id,
        token=token,
        booked=str(fact.booked),
        held=str(fact.held),
        disputed=fact.disputed,
        rate_assets=str(fact.rate[0]) if fact.rate else "",
        rate_shares=str(fact.rate[1]) if fact.rate else "",
    )


def describe_health(health: Health, view: AccountView, header: Header) -> health_pb2.Health:
    """An account's health, with how each holding is known and controlled."""
    reported = {entry.venue: entry.sequence for entry in view.obligations.venues} if view.obligations else {}
    return health_pb2.Health(
        status=health_pb2.HealthStatus.ValueType(health.status),
        initial_equity=_interval(health.initial_equity),
        initial_margin=_interval(health.initial_margin),
        initial_excess=_interval(health.initial_excess),
        maintenance_equity=_interval(health.maintenance_equity),
        maintenance_margin=_interval(health.maintenance_margin),
        maintenance_excess=_interval(health.maintenance_excess),
        holdings=[_holding(line, view, header) for line in health.holdings],
        venues=[_venue(line, reported.get(line.venue, 0)) for line in health.venues],
        reasons=_reasons(health.reasons),
        free=[_holding(line, view, header) for line in health.free],
        rules=health.rules,
        decided_by=health.status.decided_by,
        initial_rows=_rows(health.initial_rows),
        maintenance_rows=_rows(health.maintenance_rows),
    )


def _holding(line: HoldingLine, view: AccountView, header: Header) -> health_pb2.HoldingLine:
    chain = header.chain(line.chain_id)
    control = view.holdings[line.chain_id].control if line.wallet is None else Control.FREE
    return health_pb2.HoldingLine(
        chain_id=line.chain_id,
        token=line.token,
        asset=line.asset,
        amount=str(line.amount),
        value=_interval(line.value),
        initial=_interval(line.initial),
        maintenance=_interval(line.maintenance),
        control=state_pb2.Control.ValueType(control),
        assurance=state_pb2.Assurance.ValueType(chain.assurance),
        age_ms=_age_ms(chain.cut.time, header.time_ms),
        reasons=_reasons(line.reasons),
        wallet=line.wallet or b"",
    )


def _venue(line: VenueLine, report_sequence: int) -> health_pb2.VenueLine:
    return health_pb2.VenueLine(
        venue=line.venue,
        claim=_interval(line.claim),
        profit=_interval(line.profit),
        initial=_interval(line.initial),
        maintenance=_interval(line.maintenance),
        receivable=str(line.receivable),
        report_sequence=report_sequence,
        reasons=_reasons(line.reasons),
    )


def describe_release(attested: AttestedRelease) -> release_pb2.AttestedRelease:
    """A release in full, with its signatures and the state that it names where that is still at hand."""
    release = attested.release
    described = release_pb2.AttestedRelease(
        release=release_pb2.Release(
            kind=_KINDS[release.kind],
            chain_id=release.chain_id,
            vault=release.vault,
            account=release.account,
            nonce=release.nonce,
            payee=release.payee,
            items=[
                release_pb2.ReleaseItem(token=item.token, amount=str(item.amount), minimum=str(item.minimum))
                for item in release.items
            ],
            reference=release.reference,
            sequence=release.sequence,
            header_hash=release.header_hash,
            expiry=release.expiry,
        ),
        signatures=attested.signatures,
    )
    if attested.header:
        described.state.header = attested.header
        described.state.certificate = attested.certificate
    return described


def read_release(message: release_pb2.AttestedRelease) -> AttestedRelease:
    """The inverse of describe_release. Raises InputError; nothing is verified."""
    release = message.release
    kind = next((kind for kind, number in _KINDS.items() if number == release.kind), None)
    if kind is None:
        raise InputError("name the kind of the release", kind=release.kind)
    return AttestedRelease(
        Release(
            kind,
            ChainId(release.chain_id),
            Address(exactly(release.vault, 20, "vault")),
            AccountId(exactly(release.account, 32, "account")),
            release.nonce,
            Address(exactly(release.payee, 20, "payee")),
            tuple(_item(item) for item in release.items),
            Hash32(exactly(release.reference, 32, "reference")),
            release.sequence,
            Hash32(exactly(release.header_hash, 32, "header_hash")),
            release.expiry,
        ),
        message.signatures,
        message.state.header,
        message.state.certificate,
    )


def _item(item: release_pb2.ReleaseItem) -> ReleaseItem:
    token = Address(exactly(item.token, 20, "token"))
    return ReleaseItem(token, _decimal(item.amount, "amount"), _decimal(item.minimum, "minimum"))


def exactly(data: bytes, width: int, field: str) -> bytes:
    """`data` when it has `width` bytes. Raises InputError that names the field."""
    if len(data) != width:
        raise InputError(f"give {width} bytes", field=field, length=len(data))
    return data


def _decimal(text: str, field: str) -> Amount:
    if not (text.isascii() and text.isdigit() and len(text) <= 78 and str(int(text)) == text):
        raise InputError("write an amount as a decimal integer without leading zeros", field=field, amount=text[:80])
    if (value := int(text)) >> 256:
        raise InputError("keep an amount within 256 bits", field=field, amount=text)
    return Amount(value)


def _interval(interval: Interval) -> health_pb2.Interval:
    return health_pb2.Interval(low=str(interval.low), high=str(interval.high))


def _rows(names: tuple[str, str] | None) -> health_pb2.DecidingRows | None:
    return health_pb2.DecidingRows(low=names[0], high=names[1]) if names is not None else None


def _reasons(reasons: Iterable[Reason]) -> list[str]:
    return [reason.value for reason in reasons]


def _age_ms(unix_seconds: int, time_ms: int) -> int:
    """From a time to the state's; 0 for what never was and for what is ahead of the state."""
    return max(0, time_ms - unix_seconds * 1000) if unix_seconds else 0

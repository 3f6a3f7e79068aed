"""Releases that count as executed from the moment they are issued, and how that ends.

A reservation ends only by a certified cut: its nonce is used, or it is unused in a final block whose time is past its
expiry. A halted chain keeps it. Of a vault that the policy gave up there will be no cut: its reservations end with
their expiry, and count as executed. Must not know who executes a release.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from chains.proofs.keccak import keccak
from chains.types import AccountId, Hash32
from node.consensus.outcome.draft import Draft
from node.margin import MarginContext, plan_liquidation
from node.margin.outflow import Outflow
from node.margin.policy import Policy
from node.margin.screen import Screen
from node.model.digests import ReleaseKind, tag, word
from node.model.ledger import AccountRecord, Authorization, Holdings, Obligations, Reservation
from node.model.state import State

MAX_PLANS = 256
"""Accounts for which one outcome makes liquidation plans; the others get theirs in the next."""
_PLAN = tag("plan")


class _Fate(Enum):
    OPEN = auto()
    EXECUTED = auto()
    EXPIRED = auto()


def settle(draft: Draft, context: MarginContext) -> None:
    """End every reservation that the certified cuts decide."""
    for account in sorted(draft.reserved):
        record = draft.record(account)
        if record is None:
            continue
        holdings = draft.view(account).holdings
        fates = [(item, _fate(item, holdings.get(item.chain_id), context)) for item in record.reservations]
        still_open = tuple(item for item, fate in fates if fate is _Fate.OPEN)
        if len(still_open) == len(fates):
            continue
        draft.put_record(account, replace(record, reservations=still_open))
        for reservation, fate in fates:
            if fate is _Fate.EXPIRED:
                _return_credit(draft, account, reservation)


def _fate(reservation: Reservation, book: Holdings | None, context: MarginContext) -> _Fate:
    recipe = context.policy.recipe_by_chain.get(reservation.chain_id)
    if recipe is None or recipe.vault != reservation.vault:
        return _Fate.EXECUTED if context.time_ms > reservation.expiry * 1000 else _Fate.OPEN
    if book is not None and book.nonce >= reservation.nonce:
        return _Fate.EXECUTED
    # The vault pays up to and in the very second of the expiry.
    return _Fate.EXPIRED if context.chains[reservation.chain_id].cut.time > reservation.expiry else _Fate.OPEN


def issuing_states(draft: Draft, previous: State) -> tuple[tuple[int, Hash32], ...]:
    """(sequence, header hash) of every earlier state that issued a reservation which is still open."""
    known = dict(previous.control.issued) | {previous.header.sequence: previous.header.hash()}
    records = (draft.record(account) for account in draft.reserved)
    wanted = {item.sequence for record in records if record is not None for item in record.reservations}
    return tuple((sequence, known[sequence]) for sequence in sorted(wanted & set(known)))


def _return_credit(draft: Draft, account: AccountId, reservation: Reservation) -> None:
    """Take back the credit of a seizure that was never executed, and what the venue acknowledged of it too early."""
    record, obligations = draft.record(account), draft.obligations(account)
    if record is None or not reservation.venue:
        return
    record = _credited(record, reservation.venue, -reservation.credit)
    draft.put_record(account, record)
    seized = {item.venue: item.seized for item in record.authorizations}
    if obligations is not None and reservation.venue in seized:
        most = seized[reservation.venue]
        venues = (
            replace(item, acknowledged=min(item.acknowledged, most)) if item.venue == reservation.venue else item
            for item in obligations.venues
        )
        draft.put_obligations(account, Obligations(tuple(venues)))


def _credited(record: AccountRecord, venue: str, credit: int) -> AccountRecord:
    def credited(item: Authorization) -> Authorization:
        return replace(item, seized=item.seized + credit) if item.venue == venue else item

    return replace(record, authorizations=tuple(credited(item) for item in record.authorizations))


def under_way(draft: Draft, policy: Policy) -> Outflow:
    """What all open reservations order out of the policy's vaults."""
    records = (draft.record(account) for account in draft.reserved)
    return Outflow.of(policy, (item for record in records if record is not None for item in record.reservations))


def reserve_liquidations(draft: Draft, context: MarginContext, outflow: Outflow, sequence: int, screen: Screen) -> None:
    """Plan and reserve seizures for accounts that are liquidatable and have none open.

    `outflow` counts what is under way, and what is reserved.
    """
    planned = 0
    accounts, obligations = draft.maps()
    others = {"accounts": accounts} | {f"chain:{chain_id}": book for chain_id, book in draft.chains.items()}
    for account in screen.liquidatable(obligations, others, draft.view, context):
        legs = plan_liquidation(draft.view(account), context, outflow)
        record = draft.record(account)
        if not legs or record is None:
            continue
        reference = plan_id(account, sequence)
        expiry = context.time_ms // 1000 + context.policy.timing.attestation_ttl
        reservations = tuple(
            Reservation(
                kind=ReleaseKind.SEIZURE,
                chain_id=leg.chain_id,
                vault=leg.vault,
                nonce=leg.nonce,
                payee=leg.payee,
                items=leg.items,
                reference=reference,
                sequence=sequence,
                expiry=expiry,
                venue=leg.venue,
                credit=leg.credit,
            )
            for leg in legs
        )
        for leg, reservation in zip(legs, reservations, strict=True):
            outflow.add(reservation)
            record = _credited(record, leg.venue, leg.credit)
        draft.put_record(account, replace(record, reservations=(*record.reservations, *reservations)))
        planned += 1
        if planned == MAX_PLANS:
            break


def plan_id(account: AccountId, sequence: int) -> Hash32:
    """The reference of the liquidation plan that the state `sequence` makes for an account."""
    return Hash32(keccak(_PLAN + account + word(sequence)))

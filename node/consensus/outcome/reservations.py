"""Releases that count as executed from the moment they are issued, and how that ends.

A reservation ends only by a certified cut: its nonce is used, or it is unused in a final block whose time is past its
expiry. A halted chain keeps it. Must not know who executes a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chains.proofs.keccak import keccak
from chains.types import AccountId, ChainId, Hash32
from node.consensus.outcome.draft import Draft
from node.margin import MarginContext, plan_liquidation
from node.model.digests import ReleaseKind, tag, word
from node.model.header import ChainState
from node.model.ledger import AccountRecord, Authorization, Reservation
from node.model.policy import Policy
from node.model.state import State

MAX_PLANS = 256
"""Accounts for which one outcome makes liquidation plans; the others get theirs in the next."""
_PLAN = tag("plan")


def settle(draft: Draft, chains: Mapping[ChainId, ChainState]) -> None:
    """End every reservation that the certified cuts decide."""
    for account in sorted(draft.reserved):
        record = draft.record(account)
        if record is None:
            continue
        holdings = draft.view(account).holdings
        open_after: list[Reservation] = []
        for reservation in record.reservations:
            book = holdings.get(reservation.chain_id)
            state = chains.get(reservation.chain_id)
            executed = book is not None and book.nonce >= reservation.nonce
            expired = state is not None and state.cut.time > reservation.expiry
            if not executed and expired:
                record = _return_credit(record, reservation)
            if not executed and not expired:
                open_after.append(reservation)
        if len(open_after) < len(record.reservations):
            draft.put_record(account, replace(record, reservations=tuple(open_after)))


def issuing_states(draft: Draft, previous: State) -> tuple[tuple[int, Hash32], ...]:
    """(sequence, header hash) of every earlier state that issued a reservation which is still open."""
    known = dict(previous.control.issued) | {previous.header.sequence: previous.header.hash()}
    records = (draft.record(account) for account in draft.reserved)
    wanted = {item.sequence for record in records if record is not None for item in record.reservations}
    return tuple((sequence, known[sequence]) for sequence in sorted(wanted & set(known)))


def _return_credit(record: AccountRecord, reservation: Reservation) -> AccountRecord:
    """The record without the credit of a seizure that was never executed."""
    return _credited(record, reservation.venue, -reservation.credit)


def _credited(record: AccountRecord, venue: str, credit: int) -> AccountRecord:
    def credited(item: Authorization) -> Authorization:
        return replace(item, seized=item.seized + credit) if item.venue == venue else item

    return replace(record, authorizations=tuple(credited(item) for item in record.authorizations))


def reserve_liquidations(draft: Draft, context: MarginContext, policy: Policy, sequence: int) -> None:
    """Plan and reserve seizures for accounts that are liquidatable and have no release open."""
    planned = 0
    for account in draft.indebted():
        if account in draft.reserved:
            continue
        legs = plan_liquidation(draft.view(account), context)
        if not legs:
            continue
        record = draft.record(account)
        if record is None:
            continue
        reference = plan_id(account, sequence)
        expiry = context.time_ms // 1000 + policy.timing.attestation_ttl
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
        for leg in legs:
            record = _credited(record, leg.venue, leg.credit)
        draft.put_record(account, replace(record, reservations=reservations))
        planned += 1
        if planned == MAX_PLANS:
            break


def plan_id(account: AccountId, sequence: int) -> Hash32:
    """The reference of the liquidation plan that the state `sequence` makes for an account."""
    return Hash32(keccak(_PLAN + account + word(sequence)))

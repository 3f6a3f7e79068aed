"""Adoption of venues' reports: a head is adopted when 2f+1 observers hold it, and its entries become obligations.

Must not know what an obligation is worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from chains.types import AccountId, Hash32
from node.consensus.outcome.draft import Draft
from node.consensus.outcome.observation import MAX_HEADS, Observation
from node.margin.policy import Policy
from node.model.ledger import Obligations, VenueObligation
from node.model.reports import Report, ReportEntry
from node.model.state import State, VenueHead

MAX_ENTRIES_A_ROUND = 20_000
"""Entries of reports that one outcome takes in, and the rest of the report that goes beyond; more wait for the next."""
MAX_POSITIONS_A_ROUND = 20_000
"""Likewise positions: each may be in an option that has to be priced."""
ACCOUNT_OPEN = 8
"""What an account that a venue has reported counts as, beside its positions: to judge it costs about as much."""


def in_turn(
    adopted: Mapping[str, tuple[Hash32, ...]], reports: Mapping[Hash32, Report], sequence: int
) -> Iterator[tuple[str, Hash32]]:
    """(venue, digest) of the reports that fit into one outcome; each outcome begins with another venue."""
    venues = sorted(adopted)
    first = sequence % len(venues) if venues else 0
    entries = positions = 0
    for venue in venues[first:] + venues[:first]:
        for digest in adopted[venue]:
            if entries >= MAX_ENTRIES_A_ROUND or positions >= MAX_POSITIONS_A_ROUND:
                return
            entries += len(reports[digest].entries)
            positions += sum(len(entry.positions) for entry in reports[digest].entries)
            yield venue, digest


def adopted_digests(
    heads: Sequence[VenueHead], observations: Mapping[int, Observation], policy: Policy, quorum: int
) -> dict[str, tuple[Hash32, ...]]:
    """For each venue of the policy that is not frozen: the digests beyond its head that `quorum` observers hold."""
    frozen = {head.venue for head in heads if head.frozen}
    offers: dict[str, list[tuple[Hash32, ...]]] = {}
    for observation in observations.values():
        for offer in observation.heads:
            offers.setdefault(offer.venue, []).append(offer.digests)
    adopted: dict[str, tuple[Hash32, ...]] = {}
    for venue in sorted(set(offers) & set(policy.venue_by_id) - frozen):
        run: list[Hash32] = []
        for at in range(MAX_HEADS):
            tally = Counter(digests[at] for digests in offers[venue] if len(digests) > at and list(digests[:at]) == run)
            digest, count = max(tally.items(), key=lambda item: (item[1], item[0]), default=(None, 0))
            if digest is None or count < quorum:
                break
            run.append(digest)
        if run:
            adopted[venue] = tuple(run)
    return adopted


def apply_report(draft: Draft, head: VenueHead, report: Report, digest: Hash32, most: int) -> VenueHead:
    """The venue's next head, and its entries in the draft. A report that does not extend the head changes nothing.

    Neither does an entry with which the venue would have more than `most` open: what it said before stands.
    """
    if report.venue != head.venue or report.sequence != head.sequence + 1 or report.previous != head.digest:
        return head
    opened, growing = head.open, []
    for entry in report.entries:  # what is closed makes room for what is opened
        grown = _apply_entry(draft, report, entry, 0)
        if grown is None:
            growing.append(entry)
        opened += grown or 0
    for entry in growing:
        opened += _apply_entry(draft, report, entry, most - opened) or 0
    return replace(head, sequence=report.sequence, digest=digest, open=opened)


def has_room(state: State, report: Report, most: int) -> bool:
    """Whether a report that follows on a state leaves none of its entries out for what its venue has open."""
    opened = next((head.open for head in state.control.venues if head.venue == report.venue), 0)
    if opened + sum(map(_open_by, report.entries)) <= most:
        return True  # whatever was said of these accounts before, which costs more to look up
    before = Draft(state)
    grown = [_open_by(entry) - _open(_said(before, report, entry.account)) for entry in report.entries]
    return opened + sum(grown) <= most or max(grown, default=0) <= 0


def _open(obligation: VenueObligation | None) -> int:
    """What it counts as of all that its venue has open: about what it costs to judge, in positions."""
    return 0 if obligation is None else ACCOUNT_OPEN + len(obligation.positions)


def _open_by(entry: ReportEntry) -> int:
    return ACCOUNT_OPEN + len(entry.positions) if entry.positions or entry.cash else 0


def _said(draft: Draft, report: Report, account: AccountId) -> VenueObligation | None:
    """What the report's venue said of an account before."""
    current = draft.obligations(account) or Obligations(())
    return next((item for item in current.venues if item.venue == report.venue), None)


def _apply_entry(draft: Draft, report: Report, entry: ReportEntry, room: int) -> int | None:
    """By how much more the venue then has open; None where it has no room for that, and nothing changes.

    It counts only for an owner who authorised the venue; nobody can acknowledge more than was seized.
    """
    record = draft.record(entry.account)
    if record is None:
        return 0
    authorization = next((item for item in record.authorizations if item.venue == report.venue), None)
    if authorization is None:
        return 0
    current = draft.obligations(entry.account) or Obligations(())
    before = next((item for item in current.venues if item.venue == report.venue), None)
    known = max(entry.acknowledged, before.acknowledged if before is not None else 0)
    # SECURITY: an acknowledgement in advance would make a later seizure pay nothing off, and so be made twice.
    acknowledged = min(known, authorization.seized)
    after = VenueObligation(report.venue, report.sequence, entry.positions, entry.cash, acknowledged)
    others = tuple(item for item in current.venues if item.venue != report.venue)
    # While a seizure is open nobody knows what will have been seized.
    is_open = any(item.venue == report.venue for item in record.reservations)
    settled = after.is_settled(authorization.seized) and not is_open
    gone = settled and (authorization.revoked or authorization.seized == 0)
    grown = _open(None if gone else after) - _open(before)
    if grown > room:
        return None
    kept = others if gone else tuple(sorted((*others, after), key=lambda item: item.venue))
    draft.put_obligations(entry.account, Obligations(kept))
    if settled and authorization.revoked:
        remaining = tuple(item for item in record.authorizations if item.venue != report.venue)
        draft.put_record(entry.account, replace(record, authorizations=remaining))
    return grown

"""Who may ask for what: signatures of requests and reports, and what a digest covers."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from chains.errors import SignatureError
from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Amount, ChainId, Hash32
from node.model.codec import Malformed
from node.model.digests import word
from node.model.reports import MAX_INSTRUMENTS, Position, Report, ReportEntry
from node.model.requests import (
    AuthorizeVenue,
    PolicyActivation,
    Request,
    VenueEquivocation,
    decode_request,
    encode_request,
    policy_hash,
)
from node.model.signatures import sign
from tests.kit import NETWORK_ID, SALT, Owner, Venue, address, entry, key

OTHER_NETWORK = Hash32(keccak(b"another network"))
REQUESTS: list[Request] = [
    Owner().link("carol", ("BTC", "ETH")),
    Owner().authorize(),
    Owner().revoke(),
    Owner().withdraw(7),
    Owner().link_wallet(address("wallet")),
    Owner().unlink(address("carol")),
    PolicyActivation(2, b"a policy", 5),
]
SIGNATURES = {"owner_signature", "linked_signature", "signature", "signatures"}
OTHER: dict[str, Any] = {
    "account": AccountId(b"\x01" * 32),
    "owner": address("mallory"),
    "salt": Hash32(b"\x01" * 32),
    "linked": address("mallory"),
    "collateral": ("BTC",),
    "nonce": 99,
    "venue": "other",
    "limit": 1,
    "payees": ((ChainId(1), address("mallory")),),
    "chain_id": ChainId(99),
    "vault": address("mallory"),
    "wallet": address("mallory"),
    "token": address("mallory"),
    "amount": Amount(99),
    "recipient": address("mallory"),
    "expiry": 99,
    "version": 99,
    "body": b"another policy",
    "activates_at": 99,
}


@pytest.mark.parametrize(
    ("request_", "field"),
    [(each, field.name) for each in REQUESTS for field in fields(each) if field.name not in SIGNATURES],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_a_digest_covers_every_field(request_: Request, field: str) -> None:
    changed = replace(request_, **{field: OTHER[field]})
    assert changed.digest(NETWORK_ID) != request_.digest(NETWORK_ID)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: type(each).__name__)
def test_a_digest_is_of_one_network_and_not_of_the_signatures(request_: Request) -> None:
    assert request_.digest(OTHER_NETWORK) != request_.digest(NETWORK_ID)
    for field in SIGNATURES & {field.name for field in fields(request_)}:
        stripped: Any = () if field == "signatures" else bytes(65)
        assert replace(request_, **{field: stripped}).digest(NETWORK_ID) == request_.digest(NETWORK_ID)


def test_a_list_of_payees_is_not_confused_with_another() -> None:
    one = AuthorizeVenue(AccountId(bytes(32)), "v", 1, ((ChainId(1), address("a")), (ChainId(2), address("b"))), 1)
    swapped = replace(one, payees=((ChainId(1), address("b")), (ChainId(2), address("a"))))
    assert len({each.digest(NETWORK_ID) for each in (one, swapped, replace(one, payees=one.payees[:1]))}) == 3


# === Links ===


def test_a_link_signed_by_both_is_accepted() -> None:
    Owner().link().check(NETWORK_ID)
    Owner().link("carol").check(NETWORK_ID)


def test_a_link_lacking_either_signature_is_refused() -> None:
    link = Owner().link("carol")
    by_mallory = sign(key("mallory"), link.digest(NETWORK_ID))
    for changed in (
        replace(link, owner_signature=link.linked_signature),
        replace(link, linked_signature=link.owner_signature),
        replace(link, owner_signature=by_mallory),
        replace(link, linked_signature=by_mallory),
        replace(link, linked_signature=bytes(65)),
    ):
        with pytest.raises(SignatureError):
            changed.check(NETWORK_ID)


def test_a_link_of_another_network_salt_or_owner_is_refused() -> None:
    link = Owner().link()
    with pytest.raises(SignatureError):
        link.check(OTHER_NETWORK)
    for changed in (replace(link, salt=Hash32(b"\x01" * 32)), replace(link, owner=address("mallory"))):
        with pytest.raises(SignatureError, match="not the owner's"):
            changed.check(NETWORK_ID)


def test_nobody_makes_the_account_of_another() -> None:
    """Mallory signs for everything herself, but under alice's account id."""
    link = replace(Owner("mallory").link(), account=Owner("alice").account)
    digest = link.digest(NETWORK_ID)
    link = replace(link, owner_signature=sign(key("mallory"), digest), linked_signature=sign(key("mallory"), digest))
    with pytest.raises(SignatureError):
        link.check(NETWORK_ID)
    assert Owner("alice").account != Owner("mallory").account
    assert bytes(32) == SALT


# === Policies ===


def test_a_policy_is_activated_by_whoever_signed_and_each_counts_once() -> None:
    activation = REQUESTS[-1]
    assert isinstance(activation, PolicyActivation)
    digest = activation.digest(NETWORK_ID)
    by = {name: sign(key(name), digest) for name in ("policy a", "policy b")}
    signed = replace(activation, signatures=(by["policy a"], by["policy b"], by["policy a"]))
    assert signed.signers(NETWORK_ID) == {address("policy a"), address("policy b")}
    assert not signed.signers(OTHER_NETWORK) & {address("policy a"), address("policy b")}
    with pytest.raises(SignatureError):
        replace(activation, signatures=(bytes(65),)).signers(NETWORK_ID)


def test_a_policy_is_named_by_all_of_its_bytes() -> None:
    assert policy_hash(b"a = 1\n") != policy_hash(b"a = 1")


# === Reports ===

ACCOUNT = Owner().account


def report() -> Report:
    return Venue().report(entry(ACCOUNT, 5, 2000, cash=-3, acknowledged=4))


def test_a_report_is_accepted_from_its_venue_only() -> None:
    report().check(NETWORK_ID, address("demo venue"))
    with pytest.raises(SignatureError):
        report().check(NETWORK_ID, address("other venue"))
    with pytest.raises(SignatureError):
        report().check(OTHER_NETWORK, address("demo venue"))


@pytest.mark.parametrize(
    "change",
    [
        {"venue": "other"},
        {"sequence": 2},
        {"previous": Hash32(b"\x01" * 32)},
        {"time_ms": 1},
        {"entries": ()},
        {"entries": (replace(entry(ACCOUNT, 5, 2000, -3, 4), cash=3),)},
        {"entries": (replace(entry(ACCOUNT, 5, 2000, -3, 4), acknowledged=5),)},
        {"entries": (entry(ACCOUNT, -5, 2000, -3, 4),)},
        {"entries": (entry(ACCOUNT, 5, 2001, -3, 4),)},
        {"entries": (entry(AccountId(bytes(32)), 5, 2000, -3, 4),)},
    ],
)
def test_a_changed_report_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SignatureError):
        replace(report(), **change).check(NETWORK_ID, address("demo venue"))


def test_the_chain_of_reports_links_by_digest() -> None:
    venue = Venue()
    first, second = venue.report(), venue.report()
    assert (first.previous, second.previous) == (bytes(32), first.digest(NETWORK_ID))


def test_an_equivocation_has_one_name_whoever_shows_it() -> None:
    one, other = Venue().report(), report()
    assert VenueEquivocation(one, other).digest(NETWORK_ID) == VenueEquivocation(other, one).digest(NETWORK_ID)


# === Lists in order ===


def entries(*accounts: bytes) -> tuple[ReportEntry, ...]:
    return tuple(ReportEntry(AccountId(account * 32), (), 0, 0) for account in accounts)


@pytest.mark.parametrize("listed", [(b"\x02", b"\x01"), (b"\x01", b"\x01")])
def test_a_report_names_each_account_once_and_in_order(listed: tuple[bytes, ...]) -> None:
    with pytest.raises(Malformed, match="ascend"):
        Report.decode(replace(report(), entries=entries(*listed)).encode())


@pytest.mark.parametrize("listed", [("b", "a"), ("a", "a")])
def test_an_entry_names_each_instrument_once_and_in_order(listed: tuple[str, ...]) -> None:
    positions = tuple(Position(name, 1, 1) for name in listed)
    with pytest.raises(Malformed, match="ascend"):
        Report.decode(replace(report(), entries=(ReportEntry(ACCOUNT, positions, 0, 0),)).encode())


def test_a_report_names_so_many_instruments_and_each_in_any_number_of_entries() -> None:
    """Each option that is named costs nodes its pricing, in every state."""

    def naming(instruments: int, accounts: int) -> Report:
        names = [f"{each:06}" for each in range(instruments)]
        each = -(-instruments // accounts)
        parts = [names[at * each : (at + 1) * each] for at in range(accounts)]
        listed = (
            ReportEntry(AccountId(word(at)), tuple(Position(name, 1, 1) for name in part), 0, 0)
            for at, part in enumerate([*parts, *parts])
        )
        return replace(report(), entries=tuple(listed))

    most = naming(MAX_INSTRUMENTS, 32)
    assert Report.decode(most.encode()) == most
    with pytest.raises(Malformed, match="instruments"):
        Report.decode(naming(MAX_INSTRUMENTS + 1, 32).encode())


@pytest.mark.parametrize(
    "request_",
    [
        Owner().link(collateral=("ETH", "BTC")),
        Owner().link(collateral=("ETH", "ETH")),
        replace(Owner().authorize(), payees=((ChainId(2), Address(bytes(20))), (ChainId(1), Address(bytes(20))))),
        replace(Owner().authorize(), payees=((ChainId(2), Address(bytes(20))), (ChainId(2), Address(bytes(20))))),
    ],
)
def test_lists_in_requests_name_each_thing_once_and_in_order(request_: Request) -> None:
    with pytest.raises(Malformed, match="ascend"):
        decode_request(encode_request(request_))


@pytest.mark.parametrize("name", ["", "x" * 32, "tab\t", "ümlaut", "nul\0"])
def test_names_that_fit_no_word_are_malformed(name: str) -> None:
    with pytest.raises(Malformed, match="printable ASCII"):
        decode_request(encode_request(replace(Owner().authorize(), venue=name)))
    with pytest.raises(Malformed, match="printable ASCII"):
        Report.decode(replace(report(), venue=name).encode())


@pytest.mark.parametrize("kind", [0, 7, 255])
def test_unknown_kinds_are_malformed(kind: int) -> None:
    with pytest.raises(Malformed):
        decode_request(bytes([kind]) + encode_request(REQUESTS[0])[1:])

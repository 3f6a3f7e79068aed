"""What the builders make, the network's own checks accept; and nobody else's signature is in it."""

from __future__ import annotations

import pytest
from eth_account import Account

from chains.errors import SignatureError
from chains.types import Address, Amount, Hash32
from hypothec.client import (
    EthAccount,
    LocalKey,
    Payment,
    ReportChain,
    Signer,
    authorize_venue,
    link,
    revoke_venue,
    withdrawal,
)
from node.model.reports import Report, ReportEntry
from node.model.requests import decode_request, encode_request
from node.model.signatures import recover
from tests.unit.rpc.world import ACCOUNT, EAST, ETH_TOKEN, NETWORK, OWNER, VAULT, WEST, other_account

NETWORK_ID = NETWORK.network_id
SECRET, OTHER_SECRET = bytes([1]) * 32, bytes([2]) * 32
SIGNERS: list[Signer] = [LocalKey(SECRET), EthAccount(Account.from_key(SECRET))]


@pytest.mark.parametrize("owner", SIGNERS, ids=["raw", "eth_account"])
def test_every_request_is_signed_as_the_network_checks_it(owner: Signer) -> None:
    joined = LocalKey(OTHER_SECRET)
    opening = link(NETWORK_ID, owner, ["USDC", "ETH"], 1)
    opening.check(NETWORK_ID)
    assert opening.linked == opening.owner == owner.address
    assert opening.collateral == ("ETH", "USDC")
    further = link(NETWORK_ID, owner, ["ETH"], 2, joined)
    further.check(NETWORK_ID)
    assert (further.account, further.linked) == (opening.account, joined.address)
    payment = Payment(EAST, VAULT, ETH_TOKEN, Amount(5), OWNER)
    payees = {WEST: Address(b"\2" * 20), EAST: Address(b"\1" * 20)}
    allowed = authorize_venue(NETWORK_ID, owner, opening.account, "venue-a", 10**15, payees, 3)
    assert [chain for chain, _ in allowed.payees] == [EAST, WEST]
    revoked = revoke_venue(NETWORK_ID, owner, opening.account, "venue-a", 4)
    asked = withdrawal(NETWORK_ID, owner, opening.account, payment, 5, 1_900_000_000)
    for request in (allowed, revoked, asked):
        assert recover(request.digest(NETWORK_ID), request.signature) == owner.address
        assert decode_request(encode_request(request)) == request
    assert decode_request(encode_request(further)) == further


def test_both_signers_make_the_same_bytes() -> None:
    digest = Hash32(bytes(range(32)))
    assert SIGNERS[0].sign(digest) == SIGNERS[1].sign(digest)


def test_a_link_to_another_network_does_not_hold_here() -> None:
    with pytest.raises(SignatureError):
        link(Hash32(bytes(32)), SIGNERS[0], ["ETH"], 1).check(NETWORK_ID)


def test_reports_are_numbered_linked_and_signed() -> None:
    chain = ReportChain(NETWORK_ID, "venue-a", LocalKey(SECRET))
    entries = [ReportEntry(account, (), 0, 0) for account in (ACCOUNT, *map(other_account, range(5)))]
    first, second = chain.next(entries, 1_000), chain.next([], 2_000)
    assert (first.sequence, first.previous) == (1, Hash32(bytes(32)))
    assert (second.sequence, second.previous) == (2, first.digest(NETWORK_ID))
    for report in (first, second):
        report.check(NETWORK_ID, SIGNERS[0].address)
        assert Report.decode(report.encode()) == report
    again = ReportChain(NETWORK_ID, "venue-a", LocalKey(SECRET), 1, first.digest(NETWORK_ID))
    assert again.next([], 2_000) == second

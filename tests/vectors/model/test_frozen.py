"""Signed bytes are for ever: the encodings and digests of one value of each kind, frozen in frozen.json.

Each digest is recomputed here from the frozen bytes with another keccak, by the format that its docstring states. A
change that turns this red makes nodes of two versions disagree: it needs a new version byte or tag, and new vectors
beside the old ones (`python -m tests.vectors.model.test_frozen` prints them).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from chains.types import NATIVE_COIN, Address, Amount, Assurance, Checkpoint, Hash32, TokenFact, UnixSeconds
from node.model.certificate import CommitCertificate
from node.model.codec import Writer
from node.model.digests import ReleaseItem, ReleaseKind
from node.model.frame import FramePrice, PriceStatus
from node.model.header import ChainState, ChainStatus, Header
from node.model.ledger import (
    AccountRecord,
    Authorization,
    Decision,
    FreeHoldings,
    Holdings,
    Obligations,
    Reservation,
    VenueObligation,
    Verdict,
    consent_key,
    encode_consent,
    encode_token,
    token_key,
)
from node.model.merkle import MerkleMap
from node.model.reports import Position
from node.model.requests import PolicyActivation, Request, encode_request, policy_hash
from node.model.state import ChainControl, Control, PolicyChange, RootVote, VenueHead
from tests import kit
from tests.kit import NETWORK_ID, ONE, TEN, TOKEN, USD, Owner, Venue, cut, entry

PATH = Path(__file__).with_name("frozen.json")
RECORDED: dict[str, dict[str, str]] = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}

ACCOUNT = Owner().account
PAYEE = Address(b"\x22" * 20)
FILLED = Hash32(b"\x33" * 32)
POLICY = b"schema_version = 1\n"


def header() -> Header:
    chains = tuple(
        ChainState(Checkpoint(cut(chain, 7), FILLED), FILLED, 1_700_000_000_001, Assurance.ATTESTED, status)
        for chain, status in ((ONE, ChainStatus.LIVE), (TEN, ChainStatus.DISPUTED))
    )
    one, two, three, four, five, six = (Hash32(bytes([number]) * 32) for number in range(1, 7))
    config = kit.network().digest
    return Header(NETWORK_ID, config, 42, 1_700_000_000_123, one, two, three, four, five, six, chains)


def control() -> Control:
    vote = RootVote(FILLED, FILLED, Assurance.PROVEN)
    chains = (
        ChainControl(ONE, {0: (cut(ONE, 7), cut(ONE, 8)), 3: ()}, frozenset({1, 3}), cut(ONE, 7), 5, {2: vote}),
        ChainControl(TEN, {}, frozenset(), None, 0, {}, ((ACCOUNT, PAYEE),)),
    )
    return Control(
        2,
        chains,
        (VenueHead("demo", 3, FILLED, frozen=True, open=21),),
        PolicyChange(3, FILLED, 9),
        (ACCOUNT,),
        ((41, FILLED),),
        ((TEN, ACCOUNT, PAYEE),),
    )


def account_record() -> AccountRecord:
    items, seized = (ReleaseItem(TOKEN, Amount(5), Amount(4)),), 9 * USD
    reservation = Reservation(
        ReleaseKind.SEIZURE, ONE, kit.vault(ONE), 1, PAYEE, items, FILLED, 42, 1_700_000_060, "demo", seized
    )
    authorization = Authorization("demo", 10_000 * USD, ((ONE, PAYEE), (TEN, PAYEE)), 9 * USD, revoked=False)
    decision = Decision(FILLED, Verdict.REFUSED, "HEALTH", 41)
    return AccountRecord(
        kit.address("alice"), 3, (kit.address("carol"),), ("ETH",), (authorization,), (reservation,), (decision,)
    )


def encodings() -> dict[str, bytes]:
    """One value of each kind."""
    owner = Owner()
    price = FramePrice("ETH", PriceStatus.STALE, USD, 2 * USD, 3 * USD, UnixSeconds(17), 2, Assurance.ATTESTED)
    obligation = VenueObligation("demo", 4, (Position("ETH-PERP", -(10**18), 2000 * USD),), -5, 6)
    signatures = (bytes([7]) * 64, bytes([8]) * 64, bytes([9]) * 64)
    requests: dict[str, Request] = {
        "link": owner.link("carol"),
        "authorize venue": owner.authorize(),
        "revoke venue": owner.revoke(),
        "withdrawal": owner.withdraw(10**18),
        "policy activation": PolicyActivation(2, POLICY, 1_700_000_000, (bytes(65),)),
        "link wallet": owner.link_wallet(PAYEE),
        "unlink": owner.unlink(PAYEE, TEN),
        "watch wallet": owner.watch(PAYEE, TEN),
    }
    return {
        "header": header().encode(),
        "control": control().encode(),
        "account": account_record().encode(),
        "account with wallets": replace(account_record(), wallets=((ONE, PAYEE), (TEN, PAYEE))).encode(),
        "account with watched wallets": replace(account_record(), watched=((ONE, kit.address("carol")),)).encode(),
        "consent": encode_consent(ACCOUNT, PAYEE),
        "consent's key": consent_key(ACCOUNT, PAYEE),
        "token's key": token_key(TOKEN),
        "holdings": Holdings(5, ((TOKEN, Amount(10**18)),)).encode(),
        "holdings with free ones": Holdings(
            5, ((TOKEN, Amount(10**18)),), free=(FreeHoldings(PAYEE, ((NATIVE_COIN, Amount(9)), (TOKEN, None))),)
        ).encode(),
        "token": encode_token(TokenFact(Amount(10**18), Amount(7), (11, 10))),
        "disputed token": encode_token(TokenFact(Amount(10**18), Amount(0), disputed=True)),
        "obligations": Obligations((obligation,)).encode(),
        "price": price.encode(),
        "report body": Venue().report(entry(ACCOUNT, -(10**18), 2000, cash=-7, acknowledged=8)).body(),
        "certificate": CommitCertificate(FILLED, 3, 42, FILLED, 0b1011, signatures).encode(),
        "proof of presence": MAP.prove(bytes([3]) * 32).encode(),
        "proof of absence": MAP.prove(FILLED).encode(),
        **{name: encode_request(request) for name, request in requests.items()},
    }


MAP = MerkleMap.of({bytes([number]) * 32: b"value %d" % number for number in range(9)})


def digests() -> dict[str, bytes]:
    """The digests that are made of them, or of the network of the kit."""
    owner = Owner()
    made: dict[str, bytes] = {
        "header": header().hash(),
        "control": control().hash(),
        "report": Venue().report(entry(ACCOUNT, -(10**18), 2000, cash=-7, acknowledged=8)).digest(NETWORK_ID),
        "policy": policy_hash(POLICY),
        "config": kit.network().digest,
        "map root": MAP.root,
    }
    for name, request in (
        ("link", owner.link("carol")),
        ("authorize venue", owner.authorize()),
        ("revoke venue", owner.revoke()),
        ("withdrawal", owner.withdraw(10**18)),
        ("policy activation", PolicyActivation(2, POLICY, 1_700_000_000)),
        ("link wallet", owner.link_wallet(PAYEE)),
        ("unlink", owner.unlink(PAYEE, TEN)),
        ("watch wallet", owner.watch(PAYEE, TEN)),
    ):
        made[name] = request.digest(NETWORK_ID)
    return made


@pytest.mark.parametrize("name", encodings())
def test_the_encoding_is_the_frozen_one(name: str) -> None:
    assert encodings()[name].hex() == RECORDED["encodings"][name]


@pytest.mark.parametrize("name", digests())
def test_the_digest_is_the_frozen_one(name: str) -> None:
    assert digests()[name].hex() == RECORDED["digests"][name]


def test_nothing_frozen_is_left_out() -> None:
    assert set(RECORDED["encodings"]) == set(encodings())
    assert set(RECORDED["digests"]) == set(digests())


def frozen(name: str) -> bytes:
    return bytes.fromhex(RECORDED["encodings"][name])


def recorded(name: str) -> bytes:
    return bytes.fromhex(RECORDED["digests"][name])


def test_digests_follow_from_the_frozen_bytes_by_the_stated_formats() -> None:
    def tag(purpose: str) -> bytes:
        return keccak(text=f"hypothec.v1.{purpose}")

    assert recorded("header") == keccak(tag("header") + frozen("header"))
    assert recorded("control") == keccak(tag("control") + frozen("control"))
    assert recorded("policy") == keccak(tag("policy") + keccak(POLICY))
    venue = b"demo".ljust(32, b"\0")
    assert recorded("report") == keccak(tag("report") + NETWORK_ID + venue + keccak(frozen("report body")))


def test_the_configuration_is_hashed_in_the_stated_order() -> None:
    network = kit.network()
    writer = Writer().u8(1).raw(NETWORK_ID, 32).u8(1).u32(1000).u32(4)
    for node in network.nodes:
        writer.raw(node.consensus_key, 32).raw(node.signer, 20)
    writer.u32(2).raw(kit.address("policy a"), 20).raw(kit.address("policy b"), 20).u8(2)
    assert recorded("config") == keccak(keccak(b"hypothec.v1.config") + writer.done())


def main() -> None:
    """Print the vectors of the values as they are encoded today."""
    made = {
        "encodings": {name: value.hex() for name, value in encodings().items()},
        "digests": {name: value.hex() for name, value in digests().items()},
    }
    print(json.dumps(made, indent=2))  # noqa: T201 - it is what this is for


if __name__ == "__main__":
    main()

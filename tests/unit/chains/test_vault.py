from __future__ import annotations

import pytest

from chains.adapter import DisputedError
from chains.evm import vault
from chains.evm.contracts import artifact
from chains.evm.vault import EVENTS, LINK_EVENT, balance_slot, link_slot, linked, nonce_slot, total_slot, touched
from chains.proofs.keccak import keccak
from chains.proofs.receipts import Log
from chains.types import AccountId, Address, Hash32

VAULT = Address(b"\x0a" * 20)
ACCOUNT = AccountId(b"\x01" * 32)
TOKEN = Address(b"\x02" * 20)
BOOKED = ("balances", "nonces", "totals")


def topics(event: str = EVENTS[0], token: bytes = TOKEN.rjust(32, b"\0")) -> tuple[Hash32, ...]:
    return Hash32(keccak(event.encode())), Hash32(ACCOUNT), Hash32(token), Hash32(bytes(32))


def test_slots_are_those_of_the_contract() -> None:
    contract = artifact("CollateralVault")
    assert int.from_bytes(vault.BALANCES, "big") == contract.slot("balances")
    assert int.from_bytes(vault.NONCES, "big") == contract.slot("nonces")
    assert int.from_bytes(vault.TOTALS, "big") == contract.slot("totals")
    assert int.from_bytes(vault.LINKS, "big") == contract.slot("links")


def test_a_balance_is_where_solidity_puts_it() -> None:
    """keccak(token ‖ keccak(account ‖ 0)) and keccak(account ‖ 1), as the contract's documentation says."""
    outer = keccak(ACCOUNT + bytes(32))
    assert balance_slot(ACCOUNT, TOKEN) == keccak(TOKEN.rjust(32, b"\0") + outer)
    assert nonce_slot(ACCOUNT) == keccak(ACCOUNT + (1).to_bytes(32, "big"))


def test_the_events_are_the_contracts_and_name_account_and_token_first() -> None:
    abi = {
        f"{entry['name']}({','.join(field['type'] for field in entry['inputs'])})": entry
        for entry in artifact("CollateralVault").abi
        if entry["type"] == "event"
    }
    assert set(EVENTS) <= abi.keys()
    for event in EVENTS:
        indexed = [field["name"] for field in abi[event]["inputs"] if field["indexed"]]
        assert indexed[:2] == ["account", "token"]
        assert len(indexed) == 3


def test_no_other_event_of_the_contract_is_about_an_accounts_token() -> None:
    for entry in artifact("CollateralVault").abi:
        if entry["type"] == "event" and not any(event.startswith(entry["name"] + "(") for event in EVENTS):
            assert not {"account", "token"} <= {field["name"] for field in entry["inputs"]}, entry["name"]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_names_what_it_touched(event: str) -> None:
    assert touched(VAULT, Log(VAULT, topics(event), b"")) == (ACCOUNT, TOKEN)


@pytest.mark.parametrize(
    "log",
    [
        Log(TOKEN, topics(), b""),
        Log(VAULT, topics("Other(bytes32)"), b""),
        Log(VAULT, (), b""),
    ],
    ids=["another contract", "another event", "anonymous"],
)
def test_what_is_not_about_the_books_is_passed_over(log: Log) -> None:
    assert touched(VAULT, log) is None


@pytest.mark.parametrize("bad", [topics()[:3], topics(token=b"\x01" * 32)], ids=["too few topics", "no address"])
def test_an_event_that_the_code_cannot_emit_is_disputed(bad: tuple[Hash32, ...]) -> None:
    with pytest.raises(DisputedError):
        touched(VAULT, Log(VAULT, bad, b""))


# === Totals and links ===

SET_LINK = (Hash32(keccak(LINK_EVENT.encode())), Hash32(ACCOUNT), Hash32(TOKEN.rjust(32, b"\0")))


def test_totals_and_links_are_where_solidity_puts_them() -> None:
    assert total_slot(TOKEN) == keccak(TOKEN.rjust(32, b"\0") + (2).to_bytes(32, "big"))
    outer = keccak(ACCOUNT + (6).to_bytes(32, "big"))
    assert link_slot(ACCOUNT, TOKEN) == keccak(TOKEN.rjust(32, b"\0") + outer)


def test_the_link_event_is_the_contracts_and_names_account_and_wallet() -> None:
    [event] = [item for item in artifact("CollateralVault").abi if item.get("name") == "LinkSet"]
    assert f"LinkSet({','.join(field['type'] for field in event['inputs'])})" == LINK_EVENT
    assert [field["name"] for field in event["inputs"] if field["indexed"]] == ["account", "wallet"]


def test_a_link_event_names_account_and_wallet_and_is_no_change_of_the_books() -> None:
    log = Log(VAULT, SET_LINK, bytes(32))
    assert linked(VAULT, log) == (ACCOUNT, TOKEN)
    assert touched(VAULT, log) is None
    assert linked(Address(b"\x0b" * 20), log) is None
    assert linked(VAULT, Log(VAULT, topics(), b"")) is None
    assert linked(VAULT, Log(VAULT, (), b"")) is None


@pytest.mark.parametrize(
    "topics_", [SET_LINK[:2], (*SET_LINK, SET_LINK[0]), (*SET_LINK[:2], Hash32(b"\1" + SET_LINK[2][1:]))]
)
def test_a_link_event_that_the_code_cannot_emit_is_disputed(topics_: tuple[Hash32, ...]) -> None:
    with pytest.raises(DisputedError):
        linked(VAULT, Log(VAULT, topics_, b""))

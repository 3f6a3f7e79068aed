"""What an owner's wallet shows and signs is what we hash: eth_account's EIP-712 against ours, for each request."""

from __future__ import annotations

from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.types import Hash32
from node.model.digests import name_word, typed_digest
from node.model.requests import (
    AuthorizeVenue,
    Link,
    LinkWallet,
    PolicyActivation,
    RevokeVenue,
    Unlink,
    WatchWallet,
    WithdrawalRequest,
    policy_hash,
)
from node.model.signatures import recover
from tests.kit import address, key
from tests.property.model import strategies as values

SALTED = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "salt", "type": "bytes32"},
]

TYPES = {
    "LinkWallet": "bytes32 account,uint256 chainId,address wallet,uint64 nonce",
    "WatchWallet": "bytes32 account,uint256 chainId,address wallet,bool watched,uint64 nonce",
    "Unlink": "bytes32 account,uint256 chainId,address linked,uint64 nonce",
    "Link": "bytes32 account,address owner,bytes32 salt,address linked,bytes32[] collateral,uint64 nonce",
    "AuthorizeVenue": "bytes32 account,bytes32 venue,uint256 limit,Payee[] payees,uint64 nonce",
    "Payee": "uint256 chainId,address recipient",
    "RevokeVenue": "bytes32 account,bytes32 venue,uint64 nonce",
    "RequestWithdrawal": (
        "bytes32 account,uint256 chainId,address vault,address token,uint256 amount,address recipient,"
        "uint64 nonce,uint64 expiry"
    ),
    "ActivatePolicy": "uint64 version,bytes32 policyHash,uint64 activatesAt",
}


def fields(name: str) -> list[dict[str, str]]:
    return [dict(zip(("type", "name"), each.split(), strict=True)) for each in TYPES[name].split(",")]


def typed_data(network_id: bytes, primary: str, message: dict[str, Any]) -> dict[str, Any]:
    """The JSON that a wallet is given."""
    used = {primary} | ({"Payee"} if primary == "AuthorizeVenue" else set())
    return {
        "types": {"EIP712Domain": SALTED, **{name: fields(name) for name in used}},
        "domain": {"name": "Hypothec", "version": "1", "salt": network_id},
        "primaryType": primary,
        "message": message,
    }


def digest_of(data: dict[str, Any]) -> bytes:
    message = encode_typed_data(full_message=data)
    return keccak(b"\x19" + message.version + message.header + message.body)


@given(values.hash32, values.links)
@settings(max_examples=20)
def test_link(network_id: Hash32, link: Link) -> None:
    message = {
        "account": link.account,
        "owner": link.owner,
        "salt": link.salt,
        "linked": link.linked,
        "collateral": [name_word(asset) for asset in link.collateral],
        "nonce": link.nonce,
    }
    assert link.digest(network_id) == digest_of(typed_data(network_id, "Link", message))


@given(values.hash32, values.link_wallets, values.unlinks)
@settings(max_examples=20)
def test_link_wallet_and_unlink(network_id: Hash32, joined: LinkWallet, left: Unlink) -> None:
    message = {
        "account": joined.account,
        "chainId": joined.chain_id,
        "wallet": joined.wallet,
        "nonce": joined.nonce,
    }
    assert joined.digest(network_id) == digest_of(typed_data(network_id, "LinkWallet", message))
    message = {"account": left.account, "chainId": left.chain_id, "linked": left.linked, "nonce": left.nonce}
    assert left.digest(network_id) == digest_of(typed_data(network_id, "Unlink", message))


@given(values.hash32, values.watches)
@settings(max_examples=20)
def test_watch_wallet(network_id: Hash32, request: WatchWallet) -> None:
    message = {
        "account": request.account,
        "chainId": request.chain_id,
        "wallet": request.wallet,
        "watched": request.watched,
        "nonce": request.nonce,
    }
    assert request.digest(network_id) == digest_of(typed_data(network_id, "WatchWallet", message))


@given(values.hash32, values.authorize_venues)
@settings(max_examples=20)
def test_authorize_venue(network_id: Hash32, request: AuthorizeVenue) -> None:
    message = {
        "account": request.account,
        "venue": name_word(request.venue),
        "limit": request.limit,
        "payees": [{"chainId": chain, "recipient": recipient} for chain, recipient in request.payees],
        "nonce": request.nonce,
    }
    assert request.digest(network_id) == digest_of(typed_data(network_id, "AuthorizeVenue", message))


@given(values.hash32, values.revoke_venues)
@settings(max_examples=20)
def test_revoke_venue(network_id: Hash32, request: RevokeVenue) -> None:
    message = {"account": request.account, "venue": name_word(request.venue), "nonce": request.nonce}
    assert request.digest(network_id) == digest_of(typed_data(network_id, "RevokeVenue", message))


@given(values.hash32, values.withdrawals)
@settings(max_examples=20)
def test_request_withdrawal(network_id: Hash32, request: WithdrawalRequest) -> None:
    message = {
        "account": request.account,
        "chainId": request.chain_id,
        "vault": request.vault,
        "token": request.token,
        "amount": request.amount,
        "recipient": request.recipient,
        "nonce": request.nonce,
        "expiry": request.expiry,
    }
    assert request.digest(network_id) == digest_of(typed_data(network_id, "RequestWithdrawal", message))


@given(values.hash32, values.activations)
@settings(max_examples=20)
def test_activate_policy(network_id: Hash32, request: PolicyActivation) -> None:
    message = {
        "version": request.version,
        "policyHash": policy_hash(request.body),
        "activatesAt": request.activates_at,
    }
    assert request.digest(network_id) == digest_of(typed_data(network_id, "ActivatePolicy", message))


@given(values.hash32, values.links, st.sampled_from(["alice", "bob"]))
@settings(max_examples=5)
def test_what_a_wallet_signs_is_accepted(network_id: Hash32, link: Link, owner: str) -> None:
    message = {
        "account": link.account,
        "owner": link.owner,
        "salt": link.salt,
        "linked": link.linked,
        "collateral": [name_word(asset) for asset in link.collateral],
        "nonce": link.nonce,
    }
    signed = Account.sign_typed_data(key(owner).secret, full_message=typed_data(network_id, "Link", message))
    assert recover(link.digest(network_id), bytes(signed.signature)) == address(owner)


# A digest that no library here can change unnoticed: recomputed by hand from the standard's text.
EMPTY_STRUCT = keccak(keccak(b"Nothing()"))


def test_the_domain_is_ours() -> None:
    network_id = Hash32(b"\x2a" * 32)
    domain = keccak(
        keccak(b"EIP712Domain(string name,string version,bytes32 salt)")
        + keccak(b"Hypothec")
        + keccak(b"1")
        + network_id
    )
    assert typed_digest(network_id, EMPTY_STRUCT) == keccak(b"\x19\x01" + domain + EMPTY_STRUCT)
    assert typed_digest(network_id, EMPTY_STRUCT) != typed_digest(Hash32(bytes(32)), EMPTY_STRUCT)

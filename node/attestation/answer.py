"""A health answer: how it is put together from a state, and how anybody checks it, offline, from its bytes alone.

    header and certificate      a quorum of the network certified this header
    one entry a ledger map      the account's leaf, or its absence, under the header's roots
    frame entries               the price leaf of every asset that the account touches, or its absence
    token entries               likewise the leaf of every token that it holds
    summary, prices, tokens,    what these say, decoded and evaluated: claims that the verifier recomputes and compares
      health

So nothing in an answer can be changed or left out without being noticed. Must not know connections, clocks or files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chains.errors import ClaimMismatch, ProofIncomplete
from chains.types import AccountId, Address, ChainId, Hash32, TokenFact
from hypothec.v1 import health_pb2, state_pb2
from node.attestation.describe import describe_health, describe_price, describe_state, describe_token, exactly
from node.attestation.signed_state import verify_state
from node.margin.account import evaluate
from node.margin.context import MarginContext
from node.margin.policy import Policy
from node.model.certificate import CommitCertificate
from node.model.digests import name_word
from node.model.frame import FramePrice
from node.model.header import Header
from node.model.health import Health
from node.model.ledger import (
    AccountRecord,
    AccountView,
    Obligations,
    decode_holdings,
    decode_record,
    decode_token,
    token_facts,
    token_key,
)
from node.model.merkle import MapProof
from node.model.network import Network
from node.model.state import State

FRAME_MAP = "frame"
_ACCOUNTS, _OBLIGATIONS = "accounts", "obligations"
Place: TypeAlias = tuple[ChainId, Address]
"""A token on a chain."""


def touched_tokens(view: AccountView, policy: Policy) -> tuple[Place, ...]:
    """The admitted tokens that an account holds, ascending: its health depends on what the vault holds of them."""
    return tuple(sorted({place for place in _held(view) if place in policy.token_by_place}))


def _held(view: AccountView) -> list[Place]:
    """Every token in the vaults' books and in watched wallets."""
    places = [(chain_id, token) for chain_id, held in view.holdings.items() for token, _ in held.balances]
    return places + [(chain_id, token) for chain_id, held in view.free for token, _ in held.balances]


def touched_assets(view: AccountView, policy: Policy) -> tuple[str, ...]:
    """The assets whose prices an account's health may depend on, ascending.

    Those of every admitted token that is held or reserved, with what it is redeemed for, and the underlying of every
    known position; and the indices of their volatilities.
    """
    places = _held(view)
    for reservation in view.record.reservations if view.record else ():
        places += [(reservation.chain_id, item.token) for item in reservation.items]
    admitted = [policy.token_by_place[place] for place in places if place in policy.token_by_place]
    assets = {token.asset for token in admitted} | {token.rate.underlying for token in admitted if token.rate}
    for venue in view.obligations.venues if view.obligations else ():
        contracts = (policy.contract(position.instrument) for position in venue.positions)
        assets |= {contract.underlying for contract in contracts if contract is not None}
    indices = {policy.asset_by_id[asset].volatility for asset in assets}
    return tuple(sorted(assets | {index for index in indices if index is not None}))


# === Assembly ===


def frame_entry(state: State, asset: str) -> state_pb2.MapEntry:
    """The asset's price leaf, or its absence, with the proof."""
    key = name_word(asset)
    return _entry(FRAME_MAP, key, state.frame.map.get(key), state.frame.map.prove(key))


def token_entry(state: State, place: Place) -> state_pb2.MapEntry:
    """The token's leaf in its chain's map, or its absence, with the proof."""
    chain_id, token = place
    key, book = token_key(token), state.chains[chain_id]
    return _entry(_chain_map(chain_id), key, book.get(key), book.prove(key))


def token_description(state: State, place: Place) -> health_pb2.VaultToken | None:
    """The token's leaf, decoded; None where there is none."""
    fact = token_facts(state.chains, (place,)).get(place)
    return describe_token(*place, fact) if fact is not None else None


def account_entry(state: State, account: AccountId) -> state_pb2.MapEntry:
    """The account's record, or its absence, with the proof."""
    return _entry(_ACCOUNTS, account, state.accounts.get(account), state.accounts.prove(account))


def account_health(state: State, view: AccountView, health: Health) -> health_pb2.AccountHealth:
    """One account's part of an answer."""
    return health_pb2.AccountHealth(
        account=view.account,
        ledger=[_entry(name, view.account, leaf, proof) for name, leaf, proof in state.leaves(view.account)],
        health=describe_health(health, view, state.header),
    )


def _chain_map(chain_id: ChainId) -> str:
    return f"chain:{chain_id}"


def _entry(name: str, key: bytes, leaf: bytes | None, proof: MapProof) -> state_pb2.MapEntry:
    return state_pb2.MapEntry(map=name, key=key, leaf=leaf, proof=proof.encode())


# === Verification ===


@dataclass(frozen=True, slots=True)
class VerifiedAccount:
    """What a state says of one account, proven, and the health that was computed from it here."""

    view: AccountView
    health: Health


@dataclass(frozen=True, slots=True)
class VerifiedAnswer:
    """A health answer of which every byte was checked, and what its accounts were judged against.

    The context has the prices and tokens that they touch, as far as the state knows them.
    """

    header: Header
    certificate: CommitCertificate
    context: MarginContext
    accounts: Mapping[AccountId, VerifiedAccount]


def verify_answer(network: Network, policy: Policy, answer: health_pb2.HealthAnswer) -> VerifiedAnswer:
    """Check everything in `answer` and compute every figure again.

    Raises SignatureError or QuorumError (certificate, network), Malformed or InputError (bytes), ProofInvalid (a leaf
    that is not under its root), ProofIncomplete (something left out or too much), ClaimMismatch (the policy, or a
    decoded figure that is not what the proven bytes say).
    """
    header, certificate = verify_state(network, answer.state.header, answer.state.certificate)
    verify_summary(header, answer.summary)
    if policy.hash != header.policy_hash:
        raise ClaimMismatch("use the policy that the state names", named=header.policy_hash, given=policy.hash)
    views = [_verify_view(header, account) for account in answer.accounts]
    if len({view.account for view in views}) != len(views):
        raise ProofIncomplete("refuse an answer that names an account twice", accounts=len(views))
    prices = _verify_prices(header, answer, {asset for view in views for asset in touched_assets(view, policy)})
    chains = {chain.cut.chain_id: chain for chain in header.chains}
    tokens = _verify_tokens(header, answer, {place for view in views for place in touched_tokens(view, policy)})
    context = MarginContext(policy, prices, chains, tokens, header.time_ms)
    accounts = {}
    for view, claimed in zip(views, answer.accounts, strict=True):
        health = evaluate(view, context)
        if describe_health(health, view, header) != claimed.health:
            raise ClaimMismatch(
                "refuse a health that does not follow from the proven inputs",
                account=view.account,
                claimed=claimed.health.status,
                computed=health.status,
            )
        accounts[view.account] = VerifiedAccount(view, health)
    return VerifiedAnswer(header, certificate, context, accounts)


def verify_summary(header: Header, summary: state_pb2.StateSummary) -> None:
    """Raise ClaimMismatch unless `summary` is what the header says."""
    if summary != describe_state(header):
        raise ClaimMismatch(
            "refuse a summary that is not what the header says", claimed=summary.sequence, certified=header.sequence
        )


def verify_entry(entry: state_pb2.MapEntry, name: str, key: bytes, root: Hash32) -> bytes | None:
    """The leaf that the entry proves to be under `root` at `key`, or None for a proven absence.

    Raises ProofIncomplete for an entry of something else, Malformed or ProofInvalid for a proof that does not hold.
    """
    if (entry.map, entry.key) != (name, key):
        raise ProofIncomplete("give the entry that is asked for", asked=name, given=entry.map, key=entry.key)
    leaf = entry.leaf if entry.HasField("leaf") else None
    MapProof.decode(entry.proof).check(root, key, leaf)
    return leaf


def verify_record(header: Header, account: AccountId, entry: state_pb2.MapEntry) -> AccountRecord | None:
    """The account's record, None when it has none. Raises as verify_entry does."""
    return decode_record(verify_entry(entry, _ACCOUNTS, account, header.accounts_root))


def _verify_view(header: Header, claimed: health_pb2.AccountHealth) -> AccountView:
    account = AccountId(exactly(claimed.account, 32, "account"))
    roots = [(_ACCOUNTS, header.accounts_root), (_OBLIGATIONS, header.obligations_root)]
    roots += [(_chain_map(chain.cut.chain_id), chain.root) for chain in header.chains]
    if len(claimed.ledger) != len(roots):
        raise ProofIncomplete("give one entry a map", account=account, have=len(claimed.ledger), need=len(roots))
    record, obligations, *books = (
        verify_entry(entry, name, account, root) for entry, (name, root) in zip(claimed.ledger, roots, strict=True)
    )
    leaves = {chain.cut.chain_id: leaf for chain, leaf in zip(header.chains, books, strict=True)}
    return AccountView(
        account,
        decode_record(record),
        Obligations.decode(obligations) if obligations is not None else None,
        decode_holdings(account, leaves),
    )


def _verify_prices(header: Header, answer: health_pb2.HealthAnswer, needed: Iterable[str]) -> dict[str, FramePrice]:
    assets = sorted(needed)
    if len(answer.frame) != len(assets):
        raise ProofIncomplete("give the price of each asset that is touched", have=len(answer.frame), need=assets)
    prices = {}
    for entry, asset in zip(answer.frame, assets, strict=True):
        leaf = verify_entry(entry, FRAME_MAP, name_word(asset), header.frame_root)
        if leaf is not None:
            prices[asset] = FramePrice.decode(leaf)
    if _described(prices, header.time_ms) != list(answer.prices):
        raise ClaimMismatch("refuse prices that are not what the frame says", assets=assets)
    return prices


def _verify_tokens(header: Header, answer: health_pb2.HealthAnswer, needed: Iterable[Place]) -> dict[Place, TokenFact]:
    places = sorted(needed)
    if len(answer.tokens) != len(places):
        raise ProofIncomplete("give the leaf of each token that is held", have=len(answer.tokens), need=len(places))
    tokens = {}
    for entry, (chain_id, token) in zip(answer.tokens, places, strict=True):
        leaf = verify_entry(entry, _chain_map(chain_id), token_key(token), header.chain(chain_id).root)
        if leaf is not None:
            tokens[chain_id, token] = decode_token(leaf)
    if [describe_token(*place, fact) for place, fact in tokens.items()] != list(answer.vault_tokens):
        raise ClaimMismatch("refuse tokens that are not what the chains' maps say", tokens=len(tokens))
    return tokens


def _described(prices: Mapping[str, FramePrice], time_ms: int) -> Sequence[health_pb2.AssetPrice]:
    return [describe_price(price, time_ms) for price in prices.values()]

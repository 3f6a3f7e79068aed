"""What a committed state has nodes sign for the chains: the state itself, and every release open under it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chains.types import AccountId, Address, ChainId, Hash32
from node.margin.policy import Policy
from node.model.digests import Release, state_digest
from node.model.ledger import AccountRecord, Reservation
from node.model.network import Network
from node.model.state import State

STATE_PURPOSE = "state"
_NO_ACCOUNT = AccountId(bytes(32))


@dataclass(frozen=True, slots=True)
class Statement:
    """One digest that nodes sign for one contract, and how many signatures make it binding there.

    (sequence, purpose, chain, contract, account) is the slot in which a node signs one digest only; `release` is None
    for the statement that publishes a state.
    """

    sequence: int
    purpose: str
    chain_id: ChainId
    contract: Address
    account: AccountId
    digest: Hash32
    quorum: int
    release: Release | None


def statements(state: State, network: Network, policy: Policy) -> Iterator[Statement]:
    """Every statement of `state`: one a chain for the state, one for each open reservation."""
    header = state.header
    header_hash = header.hash()
    for chain_id, recipe in sorted(policy.recipe_by_chain.items()):
        digest = state_digest(network.digest, chain_id, recipe.verifier, header.sequence, header_hash, header.time_ms)
        yield Statement(
            header.sequence,
            STATE_PURPOSE,
            chain_id,
            recipe.verifier,
            _NO_ACCOUNT,
            digest,
            network.weak_quorum,
            None,
        )
    issued = dict(state.control.issued) | {header.sequence: header_hash}
    for account in state.control.reserved:
        leaf = state.accounts.get(account)
        for reservation in AccountRecord.decode(leaf).reservations if leaf is not None else ():
            yield _release_statement(network, account, reservation, issued[reservation.sequence])


def _release_statement(
    network: Network, account: AccountId, reservation: Reservation, header_hash: Hash32
) -> Statement:
    release = Release(
        reservation.kind,
        reservation.chain_id,
        reservation.vault,
        account,
        reservation.nonce,
        reservation.payee,
        reservation.items,
        reservation.reference,
        reservation.sequence,
        header_hash,
        reservation.expiry,
    )
    return Statement(
        reservation.sequence,
        reservation.kind.value,
        reservation.chain_id,
        reservation.vault,
        account,
        release.digest(network.digest),
        network.quorum,
        release,
    )

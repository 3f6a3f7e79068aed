"""Transactions that a node pays for, as it writes them down before it sends them. Must not know what they do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from chains.types import Address, ChainId, Hash32


class TxStatus(IntEnum):
    """How far a transaction got; the number is stored."""

    PENDING = 1
    """Written down, and perhaps sent."""
    CONFIRMED = 2
    """Final, and it did what it was for."""
    FAILED = 3
    """Final, and it was reverted."""
    ABANDONED = 4
    """Its nonce was used by something else, or it is no longer worth sending."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction; all attempts of a purpose have one nonce, so at most one of them is ever mined."""

    raw: bytes
    tx_hash: Hash32


@dataclass(frozen=True, slots=True)
class Transaction:
    """What the relayer does on one chain for one purpose: the digest of the statement that it submits.

    `sequence` is that of the margin state to which the statement belongs.
    """

    chain_id: ChainId
    purpose: Hash32
    sequence: int
    sender: Address
    nonce: int
    attempts: tuple[Attempt, ...]
    status: TxStatus = TxStatus.PENDING

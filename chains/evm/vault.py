"""How the vault keeps its books: the events that name what changed, and the slots that hold the values.

Owns `CollateralVault`'s layout (contracts/src/CollateralVault.sol), which the recipe's code hash pins. Pure.
Must not know how logs and slots are proven.
"""

from __future__ import annotations

from typing import Final

from chains.adapter import DisputedError
from chains.proofs.keccak import keccak
from chains.proofs.receipts import Log
from chains.proofs.slots import address_word, mapping_slot, uint_word
from chains.types import AccountId, Address, Hash32

BALANCES: Final = uint_word(0)
"""mapping(bytes32 account => mapping(address token => uint256))"""

NONCES: Final = uint_word(1)
"""mapping(bytes32 account => uint64)"""

TOTALS: Final = uint_word(2)
"""mapping(address token => uint256)"""

CAPS: Final = uint_word(3)
"""mapping(address token => uint256)"""

LINKS: Final = uint_word(6)
"""mapping(bytes32 account => mapping(address wallet => bool))"""

EVENTS: Final = (
    "Deposited(bytes32,address,address,uint256)",
    "Withdrawn(bytes32,address,address,uint256,uint64,bytes32)",
    "Seized(bytes32,address,address,uint256,uint64,bytes32)",
    "Exited(bytes32,address,address,uint256)",
)
"""All events that go with a change of the books; their first two indexed fields are account and token."""

LINK_EVENT: Final = "LinkSet(bytes32,address,bool)"
"""The event that goes with a change of the links; its two indexed fields are account and wallet."""

_LINK_TOPIC = keccak(LINK_EVENT.encode())
_TOPICS = frozenset(keccak(event.encode()) for event in EVENTS)


def touched(vault: Address, log: Log) -> tuple[AccountId, Address] | None:
    """The account and token whose books `log` says have changed; None if it is not about the vault's books.

    Raises DisputedError for an event that the vault's code cannot emit.
    """
    if log.address != vault or not log.topics or log.topics[0] not in _TOPICS:
        return None
    if len(log.topics) != 4 or any(log.topics[2][:12]):
        raise DisputedError("The vault emits an event that its code cannot emit", vault=vault, event=log.topics[0])
    return AccountId(log.topics[1]), Address(log.topics[2][12:])


def linked(vault: Address, log: Log) -> tuple[AccountId, Address] | None:
    """The account and wallet whose link `log` says was set; None if it is not about the vault's links.

    Raises DisputedError likewise.
    """
    if log.address != vault or not log.topics or log.topics[0] != _LINK_TOPIC:
        return None
    if len(log.topics) != 3 or any(log.topics[2][:12]):
        raise DisputedError("The vault emits an event that its code cannot emit", vault=vault, event=log.topics[0])
    return AccountId(log.topics[1]), Address(log.topics[2][12:])


def balance_slot(account: AccountId, token: Address) -> Hash32:
    """Where the amount of `token` that secures `account` is."""
    return mapping_slot(BALANCES, Hash32(account), address_word(token))


def nonce_slot(account: AccountId) -> Hash32:
    """Where the number of releases executed for `account` is."""
    return mapping_slot(NONCES, Hash32(account))


def total_slot(token: Address) -> Hash32:
    """Where the sum of the books of `token` is."""
    return mapping_slot(TOTALS, address_word(token))


def cap_slot(token: Address) -> Hash32:
    """Where it says how much of `token` the vault lets out in a window."""
    return mapping_slot(CAPS, address_word(token))


def link_slot(account: AccountId, wallet: Address) -> Hash32:
    """Where it says whether `wallet` joins `account`."""
    return mapping_slot(LINKS, Hash32(account), address_word(wallet))

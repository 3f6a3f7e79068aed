"""The next ledger while it is being derived: the previous one, and what has changed so far.

Reads go through the changes; nothing of the previous state is touched. Must not know why anything changes.
"""

from __future__ import annotations

from chains.types import AccountId, Address, ChainId
from node.model.digests import tag, word
from node.model.ledger import (
    AccountRecord,
    AccountView,
    Obligations,
    consent_key,
    decode_holdings,
    decode_link,
    decode_record,
    encode_consent,
    encode_link,
)
from node.model.merkle import MerkleMap
from node.model.state import State

_LINK = tag("link")

ANY_CHAIN = ChainId(0)
"""Of an address that is linked by its key, which is the same on every chain."""


def link_key(address: Address, chain_id: ChainId = ANY_CHAIN) -> bytes:
    """The key in the accounts map under which the account of a linked address stands; of a contract, on its chain."""
    place = chain_id << 160 | int.from_bytes(address, "big")
    return bytes(a ^ b for a, b in zip(_LINK, word(place), strict=True))


class Draft:
    """A ledger under construction. `chains` may be replaced book by book; the rest changes by account."""

    def __init__(self, previous: State) -> None:
        self.chains: dict[ChainId, MerkleMap] = dict(previous.chains)
        self.reserved: set[AccountId] = set(previous.control.reserved)
        self.watched: set[tuple[ChainId, AccountId, Address]] = set(previous.control.watched)
        self._accounts = previous.accounts
        self._obligations = previous.obligations
        self._account_leaves: dict[bytes, bytes | None] = {}
        self._obligation_leaves: dict[bytes, bytes | None] = {}
        self._records: dict[AccountId, AccountRecord] = {}

    # === Accounts ===

    def record(self, account: AccountId) -> AccountRecord | None:
        """The account's record, or None before its first link."""
        known = self._records.get(account)
        if known is not None:
            return known
        return decode_record(self._accounts.get(account))

    def put_record(self, account: AccountId, record: AccountRecord) -> None:
        """Replace the record, and keep the indexes of open reservations and watched addresses in step."""
        before = self.record(account)
        if before is not None:
            self.watched -= {(chain_id, account, wallet) for chain_id, wallet in before.watched}
        self.watched |= {(chain_id, account, wallet) for chain_id, wallet in record.watched}
        self._records[account] = record
        self._account_leaves[account] = record.encode()
        if record.reservations:
            self.reserved.add(account)
        else:
            self.reserved.discard(account)

    def account_of(self, address: Address, chain_id: ChainId = ANY_CHAIN) -> AccountId | None:
        """The account that an address is linked to, by its key or as a contract of one chain."""
        key = link_key(address, chain_id)
        leaf = self._account_leaves[key] if key in self._account_leaves else self._accounts.get(key)
        return decode_link(leaf) if leaf is not None else None

    def put_link(self, address: Address, account: AccountId, chain_id: ChainId = ANY_CHAIN) -> None:
        self._account_leaves[link_key(address, chain_id)] = encode_link(account)

    def drop_link(self, address: Address, chain_id: ChainId = ANY_CHAIN) -> None:
        """The address belongs to nobody any more."""
        self._account_leaves[link_key(address, chain_id)] = None

    def joins(self, account: AccountId, chain_id: ChainId, wallet: Address) -> bool:
        """Whether the certified cut of the chain has the wallet's word that it belongs to the account."""
        book = self.chains.get(chain_id)
        # SECURITY: the key has 20 bytes of a hash only: who may choose accounts and contracts can make two share it.
        return book is not None and book.get(consent_key(account, wallet)) == encode_consent(account, wallet)

    # === Obligations ===

    def obligations(self, account: AccountId) -> Obligations | None:
        if account in self._obligation_leaves:
            leaf = self._obligation_leaves[account]
        else:
            leaf = self._obligations.get(account)
        return Obligations.decode(leaf) if leaf is not None else None

    def put_obligations(self, account: AccountId, obligations: Obligations) -> None:
        """Replace the account's obligations; none at all leaves no leaf."""
        self._obligation_leaves[account] = obligations.encode() if obligations.venues else None

    # === The whole ===

    def view(self, account: AccountId) -> AccountView:
        """All that the draft says of one account."""
        return AccountView(
            account,
            self.record(account),
            self.obligations(account),
            decode_holdings(account, {chain_id: book.get(account) for chain_id, book in self.chains.items()}),
        )

    def maps(self) -> tuple[MerkleMap, MerkleMap]:
        """(accounts, obligations) with all changes."""
        return self._accounts.updated(self._account_leaves), self._obligations.updated(self._obligation_leaves)

"""What proven words make of a token, where no real contract would have them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.evm.questions import Proven
from chains.evm.tokens import balance_slot_of, facts
from chains.evm.vault import total_slot
from chains.proofs.eip1186 import Account
from chains.proofs.slots import uint_word
from chains.types import (
    Address,
    Amount,
    ChainId,
    ChainRecipe,
    Hash32,
    Height,
    MappingRecipe,
    RateRecipe,
    StorageRecipe,
    TokenFact,
    TokenRecipe,
    WordRecipe,
)
from node.model.ledger import decode_token, encode_token

VAULT, TOKEN = Address(b"\x01" * 20), Address(b"\x02" * 20)
CODE = Hash32(b"\x03" * 32)
BALANCES = MappingRecipe(uint_word(0))
ASSETS, SHARES = WordRecipe(uint_word(1)), WordRecipe(uint_word(2))
RATE = RateRecipe("ETH", 18, 20_000, ASSETS, None, SHARES, 1, 1)
MOST = 2**256 - 1


def fact(assets: int, shares: int, rate: RateRecipe = RATE) -> TokenFact:
    """Of a token of which the vault has 5, all in its books."""
    token = TokenRecipe(TOKEN, "STETH", 18, StorageRecipe(CODE, BALANCES), rate)
    recipe = ChainRecipe(ChainId(1), "evm", VAULT, CODE, VAULT, Height(0), 1, (token,), ())
    account = Account(1, 0, CODE, CODE)
    words = {balance_slot_of(BALANCES, VAULT): 5, ASSETS.slot: assets, SHARES.slot: shares}
    found, _ = facts(recipe, {VAULT: Proven(account, {total_slot(TOKEN): 5}), TOKEN: Proven(account, words)})
    return found[TOKEN]


def test_a_rate_is_a_fraction_that_a_leaf_holds() -> None:
    found = fact(MOST - 1, 1)
    assert found == TokenFact(Amount(5), Amount(5), (MOST, 2))
    assert decode_token(encode_token(found)) == found


@pytest.mark.parametrize(("assets", "shares"), [(MOST, 1), (1, MOST)])
def test_a_rate_that_no_leaf_holds_disputes_the_token_and_stops_nobody(assets: int, shares: int) -> None:
    assert fact(assets, shares) == TokenFact(Amount(5), Amount(0), disputed=True)


def test_a_rate_over_nothing_disputes_the_token() -> None:
    assert fact(1, 0, replace(RATE, added_shares=0)).disputed
    assert not fact(1, 1, replace(RATE, added_shares=0)).disputed

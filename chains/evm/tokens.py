"""What an admitted token is at a block: whether it is the one of its recipe, and what the vault holds of it.

Owns which contracts and slots tell that, and what their proven words mean. Pure. Must not know how they are proven, nor
what a token is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chains.evm.questions import Contract, Proven
from chains.evm.vault import cap_slot, total_slot
from chains.proofs.keccak import keccak
from chains.proofs.slots import address_word, mapping_slot
from chains.types import (
    NATIVE_COIN,
    Address,
    Amount,
    ChainRecipe,
    Hash32,
    MappingRecipe,
    RateRecipe,
    StorageRecipe,
    TokenFact,
    TokenRecipe,
    WordRecipe,
)


@dataclass(frozen=True, slots=True)
class TokenDispute:
    """A token that is not what its recipe admits, and why."""

    token: Address
    detail: str


def contracts(recipe: ChainRecipe) -> list[Contract]:
    """All that has to be proven to know the vault and every token of the recipe: the vault first, each once."""
    return merged(_needed(recipe))


def merged(needed: Iterable[tuple[Address, Hash32 | None]]) -> list[Contract]:
    """Contracts and slots of theirs, each contract once; None stands for its account alone."""
    slots: dict[Address, set[Hash32]] = {}
    for contract, slot in needed:
        wanted = slots.setdefault(contract, set())
        if slot is not None:
            wanted.add(slot)
    return [Contract(contract, tuple(sorted(wanted, key=keccak))) for contract, wanted in slots.items()]


def _needed(recipe: ChainRecipe) -> Iterator[tuple[Address, Hash32 | None]]:
    known = _recipes(recipe)
    yield recipe.vault, None
    for token in recipe.tokens:
        yield recipe.vault, total_slot(token.token)
        if token.cap is not None:
            yield recipe.vault, cap_slot(token.token)
        if token.storage is None:
            continue
        yield token.token, balance_slot_of(token.storage.balances, recipe.vault)
        if (proxy := token.storage.proxy) is not None:
            yield token.token, proxy.slot
            yield proxy.implementation, None
        if token.rate is not None:
            yield from ((token.token, word.slot) for word in (token.rate.assets, token.rate.shares) if word is not None)
            underlying = known.get(token.rate.underlying_token or NATIVE_COIN)
            if underlying is not None and underlying.storage is not None:
                yield underlying.token, balance_slot_of(underlying.storage.balances, token.token)


def balance_slot_of(balances: MappingRecipe, holder: Address) -> Hash32:
    """Where a token keeps the balance of `holder`."""
    if balances.slot_first:
        return keccak(balances.slot + address_word(holder))
    return mapping_slot(balances.slot, address_word(holder))


def facts(
    recipe: ChainRecipe, proven: Mapping[Address, Proven]
) -> tuple[dict[Address, TokenFact], tuple[TokenDispute, ...]]:
    """Every token of the recipe as its `contracts` prove it, and those that are not what the recipe admits."""
    known, found, disputes = _recipes(recipe), dict[Address, TokenFact](), list[TokenDispute]()
    for token in recipe.tokens:
        booked = Amount(proven[recipe.vault].slots[total_slot(token.token)])
        try:
            _check_cap(token, proven[recipe.vault])
            rate = _rate(token, known, proven)
            found[token.token] = TokenFact(booked, _held(token, recipe.vault, proven), rate)
        except _AnotherToken as problem:
            found[token.token] = TokenFact(booked, Amount(0), disputed=True)
            disputes.append(TokenDispute(token.token, str(problem)))
    return found, tuple(disputes)


def is_admitted(token: TokenRecipe, proven: Mapping[Address, Proven]) -> bool:
    """Whether a token's contract, as proven with its proxy's slot and implementation, is the one of its recipe."""
    if token.storage is None:
        return False
    try:
        _check(token, token.storage, proven)
    except _AnotherToken:
        return False
    return True


class _AnotherToken(Exception):
    """What a token is not."""


def _recipes(recipe: ChainRecipe) -> dict[Address, TokenRecipe]:
    return {token.token: token for token in recipe.tokens}


def _check_cap(token: TokenRecipe, vault: Proven) -> None:
    """Raise _AnotherToken unless the vault lets out as much of it as the recipe says."""
    if token.cap is not None and (cap := vault.slots[cap_slot(token.token)]) != token.cap:
        raise _AnotherToken(f"the vault lets out {cap} of it in a window, and not {token.cap}")


def _held(token: TokenRecipe, holder: Address, proven: Mapping[Address, Proven]) -> Amount:
    """What `holder` has of the token, if that is the one of its recipe."""
    if token.token == NATIVE_COIN:
        account = proven[holder].account
        return Amount(account.balance if account is not None else 0)
    if token.storage is None:
        raise _AnotherToken("its recipe does not say how it keeps balances")
    _check(token, token.storage, proven)
    return Amount(proven[token.token].slots[balance_slot_of(token.storage.balances, holder)])


def _check(token: TokenRecipe, storage: StorageRecipe, proven: Mapping[Address, Proven]) -> None:
    """Raise _AnotherToken unless code, implementation and the implementation's code are those of the recipe."""
    contract = proven[token.token]
    _check_code("", contract, storage.code_hash)
    if (proxy := storage.proxy) is not None:
        named = contract.slots[proxy.slot]
        if named != int.from_bytes(proxy.implementation, "big"):
            raise _AnotherToken(f"it has the implementation {named:#042x}")
        _check_code("the implementation ", proven[proxy.implementation], proxy.code_hash)


def _check_code(whose: str, contract: Proven, code_hash: Hash32) -> None:
    found = contract.account.code_hash if contract.account is not None else None
    if found != code_hash:
        raise _AnotherToken(f"{whose or 'it '}has {f'code of hash 0x{found.hex()}' if found else 'no account'}")


def _rate(
    token: TokenRecipe, known: Mapping[Address, TokenRecipe], proven: Mapping[Address, Proven]
) -> tuple[int, int] | None:
    """Assets and shares by the recipe, if the token that the assets are in is the one of its own recipe."""
    if (rate := token.rate) is None:
        return None
    slots = proven[token.token].slots
    assets = _word(slots, rate.assets) if rate.assets is not None else 0
    if rate.underlying_token is not None:
        underlying = known.get(rate.underlying_token)
        if underlying is None:
            raise _AnotherToken("its recipe names an underlying token that is not admitted")
        try:
            balance = _held(underlying, token.token, proven)
        except _AnotherToken as problem:
            raise _AnotherToken(f"its underlying token is another: {problem}") from None
        assets = balance if rate.assets is None else assets
    return _fraction(rate, assets, _word(slots, rate.shares) if rate.shares is not None else 0)


def _fraction(rate: RateRecipe, assets: int, shares: int) -> tuple[int, int]:
    numerator, denominator = assets + rate.added_assets, shares + rate.added_shares
    if not denominator or numerator >> 256 or denominator >> 256:
        raise _AnotherToken(f"its rate is {assets} over {shares}")
    return numerator, denominator


def _word(slots: Mapping[Hash32, int], word: WordRecipe) -> int:
    return slots[word.slot] >> 8 * word.offset & (1 << 8 * word.size) - 1

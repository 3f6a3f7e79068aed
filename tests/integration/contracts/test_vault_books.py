"""Whatever happens in whatever order, the books add up and the vault holds what they say."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable

import pytest
from eth_utils.crypto import keccak
from web3.contract.contract import ContractFunction

from tests.integration.contracts.digests import Release, account_id
from tests.integration.contracts.harness import NATIVE
from tests.integration.contracts.world import EXIT_DELAY, HOUR, NETWORK, SILENCE, WINDOW, World

STEPS = 60
CAP = 500


class Books:
    """A model of the vault, which knows only what should have happened."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.tokens = [NATIVE, world.token.address]
        self.salts = [keccak(bytes([index])) for index in range(3)]
        self.accounts = [account_id(NETWORK, world.owner, salt) for salt in self.salts]
        self.balances: defaultdict[tuple[bytes, str], int] = defaultdict(int)
        self.nonces: defaultdict[bytes, int] = defaultdict(int)
        self.out: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        self.refusals = 0

    def deposit(self) -> None:
        account, token, amount = self.rng.choice(self.accounts), self.rng.choice(self.tokens), self.rng.randint(1, 400)
        functions = self.world.vault.functions
        call = functions.depositNative(account) if token == NATIVE else functions.deposit(account, token, amount)
        value = amount if token == NATIVE else 0
        self.world.chain.send(call, sender=self.world.owner, value=value)
        self.balances[account, token] += amount

    def release(self) -> None:
        account = self.rng.choice(self.accounts)
        tokens = self.rng.choice([self.tokens, self.tokens[:1], self.tokens[1:]])
        items = tuple((token, self.rng.randint(1, 300)) for token in tokens)
        nonce = self.nonces[account] + self.rng.choice([1, 1, 1, 1, 0, 2])
        wholly = tuple((token, amount, amount) for token, amount in items)
        release = Release(account, nonce, self.world.payee, wholly, self.world.chain.now() + HOUR)
        purpose = self.rng.choice(["withdrawal", "seizure"])
        wanted = nonce == self.nonces[account] + 1
        if self.leaves(self.world.call(purpose, release), account, items, purpose == "withdrawal", wanted=wanted):
            self.nonces[account] += 1

    def exit(self) -> None:
        position = self.rng.randrange(3)
        item = (self.rng.choice(self.tokens), self.rng.randint(1, 300))
        call = self.world.vault.functions.executeExit(self.world.owner, self.salts[position], *item, self.world.payee)
        self.leaves(call, self.accounts[position], (item,), True, wanted=True)

    def next_window(self) -> None:
        self.world.chain.pass_to((self.world.chain.now() // WINDOW + 1) * WINDOW)

    def leaves(
        self,
        call: ContractFunction,
        account: bytes,
        items: tuple[tuple[str, int], ...],
        by_owner: bool,
        *,
        wanted: bool,
    ) -> bool:
        receipt = self.world.chain.attempt(call, sender=self.world.owner)
        window = self.world.chain.now() // WINDOW
        fits = wanted and all(
            amount <= self.balances[account, token]
            and self.out[token, window][0] + amount <= CAP
            and (not by_owner or self.out[token, window][1] + amount <= CAP // 2)
            for token, amount in items
        )
        assert receipt["status"] == int(fits)
        for token, amount in items if fits else ():
            self.balances[account, token] -= amount
            self.out[token, window][0] += amount
            self.out[token, window][1] += amount * by_owner
        self.refusals += not fits
        return fits

    def check(self) -> None:
        vault = self.world.vault
        for token in self.tokens:
            booked = [vault.functions.balances(account, token).call() for account in self.accounts]
            assert booked == [self.balances[account, token] for account in self.accounts]
            held = self.world.chain.coins(vault.address) if token == NATIVE else self.world.held(vault.address)
            assert self.world.total(token) == sum(booked) == held
        assert [vault.functions.nonces(account).call() for account in self.accounts] == [
            self.nonces[account] for account in self.accounts
        ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_books_add_up(world: World, seed: int) -> None:
    world = world.with_vault({NATIVE: CAP, world.token.address: CAP})
    world.allow(world.token)
    books = Books(world, random.Random(seed))
    world.chain.pass_to(world.chain.now() + SILENCE + HOUR)
    for salt in books.salts:
        world.chain.send(world.vault.functions.requestExit(world.owner, salt), sender=world.owner)
    world.chain.pass_to(world.chain.now() + EXIT_DELAY)
    steps: list[Callable[[], None]] = [books.deposit] * 3 + [books.release] * 4 + [books.exit, books.next_window]
    for _ in range(STEPS):
        books.rng.choice(steps)()
        books.check()
    assert 0 < books.refusals < STEPS // 2

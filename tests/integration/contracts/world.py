"""A verifier, a vault and a token, deployed, with an account that somebody owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_utils.crypto import keccak
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.types import TxReceipt

from tests.integration.contracts.digests import Release, account_id, state_digest
from tests.integration.contracts.harness import NATIVE, UNLIMITED, Chain, Committee

NETWORK = keccak(text="a network")
SALT = keccak(text="a salt")
HEADER = keccak(text="a header")
HOUR = 3600
DAY = 24 * HOUR
WINDOW, SILENCE, EXIT_DELAY = HOUR, 7 * DAY, 2 * DAY
FUNDS = 10**24


@dataclass(frozen=True)
class World:
    chain: Chain
    committee: Committee
    verifier: Contract
    vault: Contract
    token: Contract

    @staticmethod
    def deploy(chain: Chain, committee: Committee | None = None) -> World:
        committee = committee or Committee(7, 2)
        verifier = chain.deploy("StateVerifier", committee.config, committee.f, committee.addresses)
        token = chain.deploy("TestToken", "Dollar", "USD", 6)
        vault = World.new_vault(chain, verifier, {NATIVE: UNLIMITED, token.address: UNLIMITED})
        world = World(chain, committee, verifier, vault, token)
        world.fund(token)
        return world

    @staticmethod
    def new_vault(chain: Chain, verifier: Contract, caps: dict[str, int]) -> Contract:
        return chain.deploy(
            "CollateralVault", verifier.address, NETWORK, [*caps], [*caps.values()], WINDOW, SILENCE, EXIT_DELAY
        )

    def with_vault(self, caps: dict[str, int]) -> World:
        """The same world with another vault, for other tokens or caps."""
        return World(
            self.chain, self.committee, self.verifier, self.new_vault(self.chain, self.verifier, caps), self.token
        )

    # who is who

    @property
    def owner(self) -> str:
        return self.chain.accounts[1]

    @property
    def payee(self) -> str:
        return self.chain.accounts[2]

    @property
    def stranger(self) -> str:
        return self.chain.accounts[3]

    @property
    def account(self) -> bytes:
        return account_id(NETWORK, self.owner, SALT)

    # doing things

    def fund(self, token: Contract) -> None:
        """Give the owner the token, and the vault leave to take it."""
        self.chain.send(token.functions.mint(self.owner, FUNDS))
        self.allow(token)

    def allow(self, token: Contract) -> None:
        self.chain.send(token.functions.approve(self.vault.address, 2**256 - 1), sender=self.owner)

    def deposit(self, amount: int, token: Contract | None = None) -> TxReceipt:
        call = self.vault.functions.deposit(self.account, (token or self.token).address, amount)
        return self.chain.send(call, sender=self.owner)

    def deposit_native(self, amount: int) -> TxReceipt:
        return self.chain.send(self.vault.functions.depositNative(self.account), sender=self.owner, value=amount)

    def accept_call(
        self,
        sequence: int,
        time_ms: int,
        *,
        signers: list[int] | None = None,
        committee: Committee | None = None,
    ) -> ContractFunction:
        committee = committee or self.committee
        digest = state_digest(committee.config, self.chain.chain_id, self.verifier.address, sequence, HEADER, time_ms)
        signatures = committee.sign(digest, signers or range(committee.f + 1))
        return self.verifier.functions.accept(sequence, HEADER, time_ms, signatures)

    def accept(self, sequence: int, time_ms: int) -> TxReceipt:
        return self.chain.send(self.accept_call(sequence, time_ms))

    def release(self, items: Sequence[tuple[str, int]] | int, *, nonce: int = 1) -> Release:
        """Of these amounts, or of that much of the token, whatever is paid for them."""
        amounts = ((self.token.address, items),) if isinstance(items, int) else items
        chosen = tuple((token, amount, 0) for token, amount in amounts)
        return Release(self.account, nonce, self.payee, chosen, expiry=self.chain.now() + HOUR)

    def sign(self, purpose: str, release: Release, *, signers: list[int] | None = None) -> bytes:
        digest = release.digest(purpose, self.committee.config, self.chain.chain_id, self.vault.address)
        return self.committee.sign(digest, signers or range(self.committee.quorum))

    def call(self, purpose: str, release: Release, signatures: bytes | None = None) -> ContractFunction:
        """The vault's call for a release, signed by the first quorum unless given otherwise."""
        function = self.vault.functions.withdraw if purpose == "withdrawal" else self.vault.functions.seize
        return function(release.abi(), signatures if signatures is not None else self.sign(purpose, release))

    # looking

    def booked(self, token: str | None = None) -> int:
        return int(self.vault.functions.balances(self.account, token or self.token.address).call())

    def nonce(self) -> int:
        return int(self.vault.functions.nonces(self.account).call())

    def total(self, token: str | None = None) -> int:
        return int(self.vault.functions.totals(token or self.token.address).call())

    def held(self, holder: str, token: Contract | None = None) -> int:
        return int((token or self.token).functions.balanceOf(holder).call())

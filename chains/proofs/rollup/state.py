"""An L1's contracts as proven under one of its headers, and the reading of words out of them.

Owns the check that a contract is the one that the recipe pins. Must not know what its words mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chains.errors import ProofIncomplete
from chains.proofs.eip1186 import VerifiedProof
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.proofs.rollup.errors import ContractChanged
from chains.proofs.rollup.layout import PinnedContract
from chains.proofs.slots import member_slot
from chains.types import Address, Hash32, Height, UnixSeconds, WordRecipe

Needs = dict[Address, set[Hash32]]
"""Which slots of which contracts have to be proven."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What L1 holds of a rollup at a height of that: an output root, how final it is, and until when it is not more.

    `made_at` is the L1 time of the claim: no block that was made later can be what it is about. `where` names the claim
    for people. `settles_at` is the L1 time after which a PROPOSED claim that is resolved counts as CHALLENGE_PASSED;
    None where it has to be resolved yet, or counts already. A claim of several chains names no `height`, but a `time`
    on them: of each it means the newest block up to then.
    """

    root: Hash32
    height: Height | None
    finality: RollupFinality
    made_at: UnixSeconds
    where: str
    settles_at: UnixSeconds | None = None
    time: UnixSeconds | None = None


@dataclass(frozen=True, slots=True)
class L1State:
    """Contracts as proven at the L1 block of this `height` and `time`."""

    height: Height
    time: UnixSeconds
    contracts: Mapping[Address, VerifiedProof]

    def code_hash(self, address: Address) -> Hash32:
        """The hash of a contract's code; ContractChanged if there is none."""
        account = self._proof(address).account
        if account is None:
            raise ContractChanged("There is no contract at the address", contract=address, height=self.height)
        return account.code_hash

    def check(self, pinned: PinnedContract) -> None:
        """Raise ContractChanged unless the contract and all that is behind it are what the recipe pins."""
        self._check_code(pinned.address, pinned.code_hash)
        for proxy in pinned.proxies:
            named = self.word(pinned.address, WordRecipe(proxy.slot))
            if named != int.from_bytes(proxy.implementation, "big"):
                raise ContractChanged(
                    "A proxy on L1 names another implementation than the recipe",
                    contract=pinned.address,
                    named=hex(named),
                    expected=proxy.implementation,
                    height=self.height,
                )
            self._check_code(proxy.implementation, proxy.code_hash)

    def word(self, address: Address, word: WordRecipe) -> int:
        """The unsigned integer at `word` of a contract; ProofIncomplete if the slot was not proven."""
        slots = self._proof(address).slots
        if word.slot not in slots:
            raise ProofIncomplete("A slot is not among the proven ones", contract=address, slot=word.slot)
        return slots[word.slot] >> 8 * word.offset & (1 << 8 * word.size) - 1

    def _check_code(self, address: Address, expected: Hash32) -> None:
        if (found := self.code_hash(address)) != expected:
            raise ContractChanged(
                "A contract on L1 has other code than the recipe",
                contract=address,
                code_hash=found,
                expected=expected,
                height=self.height,
            )

    def _proof(self, address: Address) -> VerifiedProof:
        if address not in self.contracts:
            raise ProofIncomplete("A contract is not among the proven ones", contract=address)
        return self.contracts[address]


def pinned_needs(*contracts: PinnedContract) -> Needs:
    """What `L1State.check` reads."""
    needs: Needs = {}
    for contract in contracts:
        needs.setdefault(contract.address, set()).update(proxy.slot for proxy in contract.proxies)
        for proxy in contract.proxies:
            needs.setdefault(proxy.implementation, set())
    return needs


def add_needs(needs: Needs, address: Address, slots: Iterable[Hash32]) -> Needs:
    """`needs`, and these slots as well."""
    needs.setdefault(address, set()).update(slots)
    return needs


def item_slot(array: Hash32, index: int, words: int = 1) -> Hash32:
    """The first slot of an item of a dynamic array at `array` whose items take `words` slots each."""
    return member_slot(keccak(array), index * words)


def member(base: Hash32, word: WordRecipe) -> WordRecipe:
    """A word that is relative to a struct, where the struct is at `base`."""
    return WordRecipe(member_slot(base, int.from_bytes(word.slot, "big")), word.offset, word.size)

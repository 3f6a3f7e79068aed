"""A small L1 in tries of our own: contracts with code and storage, and what `eth_getProof` proves of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chains.proofs import rlp
from chains.proofs.build import Trie
from chains.proofs.eip1186 import Account, encode_account, verify_proof_response
from chains.proofs.keccak import keccak
from chains.proofs.rollup.layout import PinnedContract
from chains.proofs.rollup.state import L1State, Needs
from chains.proofs.slots import uint_word
from chains.types import Address, Hash32, Height, ProxyRecipe, UnixSeconds, WordRecipe
from tests.unit.proofs.chain import hexed

LOGIC = Hash32(bytes.fromhex("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"))


def address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


@dataclass
class L1:
    """Contracts by address: their code, and what is in their slots."""

    time: int = 1_000_000
    code: dict[Address, bytes] = field(default_factory=dict)
    storage: dict[Address, dict[Hash32, int]] = field(default_factory=dict)

    def deploy(self, number: int, code: bytes) -> Address:
        self.code[address(number)] = code
        self.storage[address(number)] = {Hash32(b"\xff" * 32): 1}
        return address(number)

    def proxy(self, number: int, code: bytes) -> PinnedContract:
        """A proxy, and its logic beside it."""
        logic = self.deploy(number + 0x1000, b"logic of " + code)
        proxy = self.deploy(number, code)
        self.storage[proxy][LOGIC] = int.from_bytes(logic, "big")
        return PinnedContract(proxy, keccak(code), (ProxyRecipe(LOGIC, logic, keccak(self.code[logic])),))

    def put(self, contract: Address, slot: Hash32 | int, value: int, offset: int = 0, size: int = 32) -> None:
        """Write into a part of a slot."""
        key = uint_word(slot) if isinstance(slot, int) else slot
        mask = ((1 << 8 * size) - 1) << 8 * offset
        before = self.storage[contract].get(key, 0)
        self.storage[contract][key] = before & ~mask | value << 8 * offset

    def write(self, contract: Address, word: WordRecipe, value: int) -> None:
        self.put(contract, word.slot, value, word.offset, word.size)

    def prove(self, needs: Needs) -> L1State:
        """What of `needs` an honest endpoint proves, through the verifier."""
        tries = {contract: _trie(slots) for contract, slots in self.storage.items()}
        accounts = {contract: Account(1, 0, tries[contract].root, keccak(code)) for contract, code in self.code.items()}
        world = Trie((keccak(contract), encode_account(account)) for contract, account in accounts.items())
        proven = {}
        for contract, slots in needs.items():
            answer = {
                "accountProof": [hexed(node) for node in world.prove(keccak(contract))],
                "nonce": "0x1",
                "balance": "0x0",
                "codeHash": hexed(accounts[contract].code_hash),
                "storageHash": hexed(accounts[contract].storage_hash),
                "storageProof": [
                    {
                        "key": hexed(slot),
                        "value": hex(self.storage[contract].get(slot, 0)),
                        "proof": [hexed(node) for node in tries[contract].prove(keccak(slot))],
                    }
                    for slot in slots
                ],
            }
            proven[contract] = verify_proof_response(world.root, contract, sorted(slots), answer)
        return L1State(Height(7), UnixSeconds(self.time), proven)


def _trie(slots: Mapping[Hash32, int]) -> Trie:
    return Trie((keccak(slot), rlp.encode(rlp.uint_bytes(value))) for slot, value in slots.items() if value)


def both(*needs: Needs) -> Needs:
    """All that any of these asks for."""
    found: Needs = {}
    for each in needs:
        for contract, slots in each.items():
            found.setdefault(contract, set()).update(slots)
    return found

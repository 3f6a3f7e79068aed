"""Gas of one accepted state and of one seizure, by number of signatures.

Owns what is measured: `gasUsed` of whole transactions, calldata included, on slots that were nonzero before. The
yardstick is Chronicle Scribe's published `poke` (its docs/Benchmarks.md).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import coincurve
from eth_utils.address import to_checksum_address
from web3.contract import AsyncContract

from chains.evm.contracts import Artifact, artifact, build, parse_artifact
from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Amount, ChainId, Hash32
from node.model.digests import Release, ReleaseItem, ReleaseKind, account_id, state_digest
from node.model.signatures import address_of as address_of_key
from node.model.signatures import pack, sign_compact
from node.testnet.chain import LocalChain, Wallet, anvil_command, run_chain
from node.testnet.deployment import address_of
from node.testnet.ports import Ports
from node.testnet.processes import Child
from node.testnet.tools import find_anvil

SIGNATURES = (2, 3, 5, 10, 21)
MAX_SIGNERS = 31
SCRIBE_POKE: Mapping[int, int] = {5: 81_025, 10: 106_395, 20: 159_488}
"""By number of signers."""
_CHAIN = ChainId(31_000)
_NETWORK = Hash32(keccak(b"a network"))
_SALT = Hash32(keccak(b"a salt"))
_REFERENCE = Hash32(keccak(b"a plan"))
_PAYEE = Address(keccak(b"a payee")[:20])
_HEADER = Hash32(keccak(b"a header"))
_CAP = 2**112 - 1
_DAY = 86_400
_NEVER = 2**40


@dataclass(frozen=True, slots=True)
class GasTable:
    """Gas by number of signatures."""

    state: Mapping[int, int]
    seizure: Mapping[int, int]

    def as_json(self) -> dict[str, dict[str, int]]:
        """The `gas` object of the bench's output."""
        return {
            "state": {str(count): gas for count, gas in self.state.items()},
            "seizure": {str(count): gas for count, gas in self.seizure.items()},
        }


class _Committee:
    """n signers of a configuration, f of them possibly faulty."""

    def __init__(self, n: int, f: int, name: str) -> None:
        self.f = f
        self.config = Hash32(keccak(name.encode()))
        self._keys = [coincurve.PrivateKey(keccak(b"%s %d" % (name.encode(), index))) for index in range(n)]

    @property
    def addresses(self) -> list[str]:
        return [to_checksum_address(address_of_key(key.public_key)) for key in self._keys]

    def sign(self, digest: Hash32, count: int) -> bytes:
        """By the last `count` signers, who cost most to find."""
        chosen = range(len(self._keys) - count, len(self._keys))
        return pack({index: sign_compact(self._keys[index], digest) for index in chosen}, count)


async def measure() -> GasTable:
    """Deploy and run on an anvil of its own. Raises ToolMissing, and ConfigError where solc is missing.

    At 21, the accepted state is measured with a higher threshold (`RaisedThreshold.sol`): with 31 signers f + 1 is at
    most 11.
    """
    ports = Ports.plan(1, 0, 0).chains[0]
    with tempfile.TemporaryDirectory(prefix="hypothec-gas-") as folder:
        process = Child("chain", anvil_command(find_anvil(), _CHAIN, ports), Path(folder) / "log", lambda _: None)
        async with run_chain("chain", _CHAIN, ports, process) as chain:
            wallet = await chain.wallet()
            state = {count: await _accepted_state(chain, wallet, count) for count in SIGNATURES}
            return GasTable(state, {count: await _seizure(wallet, count) for count in SIGNATURES})


async def _accepted_state(chain: LocalChain, wallet: Wallet, count: int) -> int:
    """Gas of a state accepted by `count` signatures, after two others."""
    faulty = count - 1
    if 3 * faulty + 1 <= MAX_SIGNERS:
        committee, code = _Committee(3 * faulty + 1, faulty, f"state {count}"), artifact("StateVerifier")
    else:
        committee, code = _Committee(MAX_SIGNERS, 10, f"state {count}"), _raised_threshold()
    verifier = await wallet.deploy(code, committee.config, committee.f, committee.addresses)
    started_ms = (await chain.web3.eth.get_block("latest"))["timestamp"] * 1000 + 123
    used = 0
    for sequence in range(1_000_001, 1_000_004):
        header, time_ms = Hash32(keccak(b"header %d" % sequence)), started_ms + sequence - 1_000_000
        digest = state_digest(committee.config, _CHAIN, address_of(verifier), sequence, header, time_ms)
        call = verifier.functions.accept(sequence, header, time_ms, committee.sign(digest, count))
        used = int((await wallet.send(call))["gasUsed"])
    return used


async def _seizure(wallet: Wallet, count: int) -> int:
    """Gas of a seizure of one ERC-20 item by `count` signatures, after another to the same payee."""
    faulty = (count - 1) // 2
    committee = _Committee(2 * count - 1 - faulty, faulty, f"seizure {count}")
    verifier = await wallet.deploy(artifact("StateVerifier"), committee.config, faulty, committee.addresses)
    token = await wallet.deploy(artifact("TestToken"), "Dollar", "USD", 6)
    vault = await wallet.deploy(
        artifact("CollateralVault"), verifier.address, _NETWORK, [token.address], [_CAP], 3_600, 7 * _DAY, 2 * _DAY
    )
    account = account_id(_NETWORK, wallet.address, _SALT)
    await wallet.send(token.functions.mint(wallet.checksum, 10**12))
    await wallet.send(token.functions.approve(vault.address, 10**12))
    await wallet.send(vault.functions.deposit(account, token.address, 10**12))
    used = 0
    for nonce in (1, 2):
        release = _release(vault, token, account, nonce)
        signatures = committee.sign(release.digest(committee.config), count)
        used = int((await wallet.send(vault.functions.seize(_abi(release), signatures)))["gasUsed"])
    return used


def _release(vault: AsyncContract, token: AsyncContract, account: AccountId, nonce: int) -> Release:
    items = (ReleaseItem(address_of(token), Amount(10**9), Amount(10**9)),)
    return Release(
        ReleaseKind.SEIZURE,
        _CHAIN,
        address_of(vault),
        account,
        nonce,
        _PAYEE,
        items,
        _REFERENCE,
        41,
        _HEADER,
        _NEVER,
    )


def _abi(release: Release) -> Sequence[object]:
    """The contract's struct."""
    items = [(to_checksum_address(token), amount, minimum) for token, amount, minimum in release.items]
    about = (release.reference, release.sequence, release.header_hash, release.expiry)
    return release.account, release.nonce, to_checksum_address(release.payee), items, *about


def _raised_threshold() -> Artifact:
    own = build.own_sources()
    sources = {name: own[name] for name in ("IStateVerifier.sol", "StateVerifier.sol")}
    sources["RaisedThreshold.sol"] = (files(__package__) / "RaisedThreshold.sol").read_text(encoding="utf-8")
    return parse_artifact(json.dumps(build.compile_sources(sources)["RaisedThreshold"]))

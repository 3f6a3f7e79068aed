"""The header of a margin state: what nodes sign, and the root of everything that they answer for.

Must not know consensus: the certificate that makes a header binding is in `certificate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from chains.errors import InputError
from chains.proofs.keccak import keccak
from chains.types import Assurance, ChainId, Checkpoint, Cut, Hash32, Height, UnixSeconds
from node.model.codec import Reader, Writer
from node.model.digests import tag

MAX_CHAINS = 64
_HEADER = tag("header")
_VERSION = 1


class ChainStatus(IntEnum):
    """Whether a chain's holdings are current; the number is part of signed bytes."""

    LIVE = 1
    HALTED = 2
    """No newer final block was seen for longer than the policy allows."""
    DISPUTED = 3
    """The nodes did not reach the same root for a cut in time, the chain forked below its certified cut, or its recipe
    no longer holds."""


@dataclass(frozen=True, slots=True)
class ChainState:
    """One chain as a state speaks of it: the certified cut, its root, and how old that is.

    `root` is of the chain's map of holdings; `certified_at_ms` the state time at which the cut was certified.
    Before the first certification: height 0, zero hashes.
    """

    checkpoint: Checkpoint
    root: Hash32
    certified_at_ms: int
    assurance: Assurance
    status: ChainStatus

    @property
    def cut(self) -> Cut:
        return self.checkpoint.cut

    def is_current(self, max_cut_age: int, time_ms: int) -> bool:
        """Whether the cut tells of state time `time_ms`: it is at most `max_cut_age` seconds off, and so new here.

        A chain sets the times of its own blocks. One from far ahead would look young for ever, so it is as useless as
        one long past; and whatever its time says, a cut is as old as its certification.
        """
        cut_ms, longest = self.cut.time * 1000, max_cut_age * 1000
        return abs(time_ms - cut_ms) <= longest and time_ms - self.certified_at_ms <= longest


@dataclass(frozen=True, slots=True)
class Header:
    """A margin state. `time_ms` is the median of the observers' clocks and strictly rises with `sequence`."""

    network_id: Hash32
    config_digest: Hash32
    sequence: int
    time_ms: int
    previous: Hash32
    policy_hash: Hash32
    frame_root: Hash32
    obligations_root: Hash32
    accounts_root: Hash32
    control_hash: Hash32
    chains: tuple[ChainState, ...]

    def encode(self) -> bytes:
        writer = Writer().u8(_VERSION).raw(self.network_id, 32).raw(self.config_digest, 32)
        writer.u64(self.sequence).u64(self.time_ms)
        for hashed in (
            self.previous,
            self.policy_hash,
            self.frame_root,
            self.obligations_root,
            self.accounts_root,
            self.control_hash,
        ):
            writer.raw(hashed, 32)
        return writer.many(self.chains, _write_chain).done()

    def hash(self) -> Hash32:
        """keccak(tag ‖ canonical bytes): the outcome that nodes agree on and sign."""
        return Hash32(keccak(_HEADER + self.encode()))

    def chain(self, chain_id: ChainId) -> ChainState:
        """Raises InputError for a chain that the state does not speak of."""
        for state in self.chains:
            if state.cut.chain_id == chain_id:
                return state
        raise InputError("ask about a chain that the network follows", chain_id=chain_id)

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Raises Malformed."""
        reader = Reader(data, "header")
        reader.version(_VERSION)
        network_id, config_digest = Hash32(reader.raw(32)), Hash32(reader.raw(32))
        sequence, time_ms = reader.u64(), reader.u64()
        previous, policy, frame, obligations, accounts, control = (Hash32(reader.raw(32)) for _ in range(6))
        chains = reader.many(_read_chain, MAX_CHAINS)
        reader.ascending((state.cut.chain_id for state in chains), "chains")
        reader.done()
        return cls(
            network_id,
            config_digest,
            sequence,
            time_ms,
            previous,
            policy,
            frame,
            obligations,
            accounts,
            control,
            chains,
        )


def write_cut(writer: Writer, cut: Cut) -> None:
    """Append a cut: chain id, height, hash, time."""
    writer.u64(cut.chain_id).u64(cut.height).raw(cut.block_hash, 32).u64(cut.time)


def read_cut(reader: Reader) -> Cut:
    """Take a cut; raises Malformed."""
    return Cut(ChainId(reader.u64()), Height(reader.u64()), Hash32(reader.raw(32)), UnixSeconds(reader.u64()))


def _write_chain(writer: Writer, state: ChainState) -> None:
    write_cut(writer, state.checkpoint.cut)
    writer.raw(state.checkpoint.storage_hash, 32).raw(state.root, 32).u64(state.certified_at_ms)
    writer.u8(state.assurance).u8(state.status)


def _read_chain(reader: Reader) -> ChainState:
    checkpoint = Checkpoint(read_cut(reader), Hash32(reader.raw(32)))
    root, certified_at_ms = Hash32(reader.raw(32)), reader.u64()
    return ChainState(checkpoint, root, certified_at_ms, reader.member(Assurance), reader.member(ChainStatus))

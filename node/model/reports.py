"""What a venue says its customers owe it: a hash-chained sequence of signed reports.

An entry replaces all that the venue said of that account before; accounts that are not named keep what they had.
A report is a claim by an interested party: what it counts for is decided elsewhere (margin), never here.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.errors import SignatureError
from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Hash32
from node.model.codec import Malformed, Reader, Writer
from node.model.digests import name_word, read_name, tag
from node.model.signatures import recover

MAX_ENTRIES = 10_000
MAX_POSITIONS = 256
MAX_INSTRUMENTS = 4_096
"""Named in one report: an option costs its pricing once, however many hold it."""
MAX_REPORT_BYTES = 4_000_000
"""Two of them, which is the evidence against a venue, fit into one frame between nodes."""

_REPORT = tag("report")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Position:
    """A perpetual position: signed `size` in 1e-18 units of the underlying, `entry_price` in 1e-12 USD a unit."""

    instrument: str
    size: int
    entry_price: int


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """One account at one venue.

    `cash` (1e-12 USD, signed) is what is settled between them and not in a position: realised profit, fees, funding,
    less what seizures paid. `acknowledged` (1e-12 USD, never falls) is the total of seizures that `cash` includes.
    """

    account: AccountId
    positions: tuple[Position, ...]
    cash: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Report:
    """One link of a venue's chain of reports. `previous` is the digest of sequence - 1 (zeros before the first, 1)."""

    venue: str
    sequence: int
    previous: Hash32
    time_ms: int
    entries: tuple[ReportEntry, ...]
    signature: bytes = b""

    def body(self) -> bytes:
        """The canonical bytes that the venue signs (the signature is not among them)."""
        writer = Writer().u8(_VERSION).text(self.venue).u64(self.sequence).raw(self.previous, 32).u64(self.time_ms)
        return writer.many(self.entries, _write_entry).done()

    def digest(self, network_id: Hash32) -> Hash32:
        """keccak(tag ‖ network id ‖ venue ‖ keccak(body)); also the report's name in the chain."""
        return Hash32(keccak(_REPORT + network_id + name_word(self.venue) + keccak(self.body())))

    def check(self, network_id: Hash32, signer: Address) -> None:
        """Raise SignatureError unless `signer` signed it."""
        found = recover(self.digest(network_id), self.signature)
        if found != signer:
            raise SignatureError("refuse a report signed by another key", venue=self.venue, signer=found)

    def encode(self) -> bytes:
        return self.body() + self.signature

    @classmethod
    def decode(cls, data: bytes) -> Report:
        """Raises Malformed. The signature is not checked here."""
        reader = Reader(data, "report")
        reader.version(_VERSION)
        venue, sequence, previous, time_ms = read_name(reader), reader.u64(), Hash32(reader.raw(32)), reader.u64()
        entries = reader.many(_read_entry, MAX_ENTRIES)
        reader.ascending((entry.account for entry in entries), "accounts of a report")
        named = {position.instrument for entry in entries for position in entry.positions}
        if len(named) > MAX_INSTRUMENTS:
            raise Malformed("refuse a report of more instruments", found=len(named), bound=MAX_INSTRUMENTS)
        signature = reader.raw(65)
        reader.done()
        return cls(venue, sequence, previous, time_ms, entries, signature)


def write_position(writer: Writer, position: Position) -> None:
    """Append a position."""
    writer.text(position.instrument).i256(position.size).u256(position.entry_price)


def read_position(reader: Reader) -> Position:
    """Take a position; raises Malformed."""
    return Position(reader.text(), reader.i256(), reader.u256())


def _write_entry(writer: Writer, entry: ReportEntry) -> None:
    writer.raw(entry.account, 32).many(entry.positions, write_position)
    writer.i256(entry.cash).u256(entry.acknowledged)


def _read_entry(reader: Reader) -> ReportEntry:
    account = AccountId(reader.raw(32))
    positions = reader.many(read_position, MAX_POSITIONS)
    reader.ascending((position.instrument for position in positions), "instruments of an entry")
    return ReportEntry(account, positions, reader.i256(), reader.u256())

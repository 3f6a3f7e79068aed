"""What a settlement needs later and no endpoint may serve then: captured when it was first seen, kept over restarts.

Owns three bounded collections and their file: the storage root of the message passer by block, whose proof endpoints
give for some 1,000 blocks only; the events that tell what assertions are about, whose receipts they may prune; and some
of the cuts that values were proven at, so that what L1 settles days later can be tied to them by parent hashes. Must
not know what any of it settles. An event proves itself by the hash that it is kept under, wherever it is read; the rest
was proven once, and the file's seal is what binds it from then on.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TypeVar

from chains.adapter import Rollup
from chains.errors import ConfigError, ProofError
from chains.evm.sealed import SealedFile
from chains.proofs import parse
from chains.proofs.receipts import Log
from chains.types import ChainId, Cut, Hash32, Height

MAX_ROOTS = 2_048
"""A claim an hour for twelve weeks; each game that anybody posts costs him its bond."""

MAX_EVENTS = 1_024

MAX_CUTS = 2_048
CUT_SPACING = 2_048
"""Blocks between two cuts that are kept: 12 days of four blocks a second in all."""

MAX_BYTES = 8 << 20
"""Of all of them, in hexadecimal; an event has 1 kB."""

_MAX_EVENT = 2_048
_MAX_TOPICS = 4
K = TypeVar("K")
T = TypeVar("T")


class CapturesRefused(ProofError):
    """The kept captures are not what this node wrote about this rollup."""

    reason = "CAPTURES_REFUSED"


class CapturesNotKept(ConfigError):
    """The captures cannot be written: after a restart, some claims cannot be held against the rollup any more."""

    reason = "CAPTURES_NOT_KEPT"


class Captures:
    """Of one rollup. Without a file they are lost with the process."""

    def __init__(self, chain_id: ChainId, rollup: Rollup) -> None:
        self._roots: OrderedDict[Hash32, Hash32] = OrderedDict()
        self._events: OrderedDict[Hash32, Log] = OrderedDict()
        self._cuts: OrderedDict[Height, Hash32] = OrderedDict()  # ascending
        self._file: SealedFile | None = None
        if rollup.state is not None:
            context = b"captures of rollup " + str(chain_id).encode()
            self._file = SealedFile(rollup.state, rollup.seal, context, MAX_BYTES)
        self._changed = False

    def storage_root(self, block_hash: Hash32) -> Hash32 | None:
        """That of the message passer in a block of the rollup, if it was captured."""
        return self._roots.get(block_hash)

    def add_storage_root(self, block_hash: Hash32, root: Hash32) -> None:
        """What was proven just now."""
        self._changed |= _add(self._roots, block_hash, root, MAX_ROOTS)

    def event(self, name: Hash32) -> Log | None:
        """What was captured under `name`: to be checked against it by whoever reads it."""
        return self._events.get(name)

    def add_event(self, name: Hash32, log: Log) -> None:
        """What was emitted, by the hash of what it tells."""
        if len(log.data) <= _MAX_EVENT:
            self._changed |= _add(self._events, name, log, MAX_EVENTS)

    def forget_event(self, name: Hash32) -> None:
        """It is of what is there no more."""
        self._changed |= self._events.pop(name, None) is not None

    def events(self) -> tuple[Log, ...]:
        """All, oldest first."""
        return tuple(self._events.values())

    def add_cut(self, cut: Cut) -> None:
        """Values were proven at this block, which descends from those at which they were before."""
        if not self._cuts or cut.height >= next(reversed(self._cuts)) + CUT_SPACING:
            self._changed |= _add(self._cuts, cut.height, cut.block_hash, MAX_CUTS)

    def forget_cut(self, height: Height) -> None:
        """It is of another chain than is followed now."""
        self._changed |= self._cuts.pop(height, None) is not None

    def cut_above(self, height: Height) -> tuple[Height, Hash32] | None:
        """The lowest cut that is kept at or above this height."""
        return next((each for each in self._cuts.items() if each[0] >= height), None)

    async def load(self) -> None:
        """Take in what was kept; raises CapturesRefused, and then there is nothing."""
        if self._file is None:
            return
        try:
            content = await asyncio.to_thread(self._file.load)
            if content is not None:
                self._read(content)
        except (ProofError, ValueError) as error:
            self._roots.clear()
            self._events.clear()
            self._cuts.clear()
            raise CapturesRefused(f"The kept captures are not used: {error}", file=self._file.path) from error

    async def save(self) -> None:
        """Write down what is new, if anything is. Raises CapturesNotKept."""
        if self._file is None or not self._changed:
            return
        try:
            await asyncio.to_thread(self._file.save, self._written())
        except OSError as error:
            raise CapturesNotKept(
                f"The captures of a rollup cannot be written: {error.strerror}", file=self._file.path
            ) from error
        self._changed = False

    def _read(self, content: object) -> None:
        fields = parse.mapping(content, "captures")
        for row in parse.sequence(fields.get("storage_roots"), "storage_roots", MAX_ROOTS):
            block_hash, root = (parse.hash32(each, "storage root") for each in parse.sequence(row, "row", 2))
            _add(self._roots, block_hash, root, MAX_ROOTS)
        for row in parse.sequence(fields.get("events"), "events", MAX_EVENTS):
            event = parse.mapping(row, "event")
            topics = parse.sequence(event.get("topics"), "topics", _MAX_TOPICS)
            log = Log(
                parse.address(event.get("address"), "address"),
                tuple(parse.hash32(topic, "topic") for topic in topics),
                parse.data(event.get("data"), "data", most=_MAX_EVENT),
            )
            _add(self._events, parse.hash32(event.get("name"), "name"), log, MAX_EVENTS)
        for row in parse.sequence(fields.get("cuts"), "cuts", MAX_CUTS):
            height, cut = parse.sequence(row, "row", 2)
            _add(self._cuts, Height(parse.quantity(height, "cut")), parse.hash32(cut, "cut"), MAX_CUTS)

    def _written(self) -> dict[str, object]:
        return {
            "storage_roots": [[_hex(block_hash), _hex(root)] for block_hash, root in self._roots.items()],
            "events": [
                {
                    "name": _hex(name),
                    "address": _hex(log.address),
                    "topics": [_hex(topic) for topic in log.topics],
                    "data": _hex(log.data),
                }
                for name, log in self._events.items()
            ],
            "cuts": [[hex(height), _hex(block_hash)] for height, block_hash in self._cuts.items()],
        }


def _add(kept: OrderedDict[K, T], name: K, value: T, most: int) -> bool:
    if name in kept:
        return False
    kept[name] = value
    if len(kept) > most:
        kept.popitem(last=False)
    return True


def _hex(value: bytes) -> str:
    return "0x" + value.hex()

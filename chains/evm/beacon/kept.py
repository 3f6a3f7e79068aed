"""A light client's store on disk, so that a restart does not need a younger checkpoint.

Owns the file and what binds it. Every field of it is input: the store's own root binds each of them, and a code over
that root and the checkpoint, which only the holder of the secret can make, binds the root; what headers say of
execution blocks is proven anew. A file of another checkpoint is refused, so that an operator who names a better one
begins there.
"""

from __future__ import annotations

import hmac
import json
import os
from pathlib import Path
from typing import Final

from chains import strict_json
from chains.adapter import Beacon
from chains.errors import ProofError
from chains.evm.beacon.errors import StateNotKept, StateRefused
from chains.proofs import parse
from chains.proofs.lightclient import read, write
from chains.proofs.lightclient.store import Store, execution_block_hash, restore
from chains.types import Hash32, UnixSeconds

MAX_BYTES = 1 << 20
"""A store with two committees of 512 has about 120 kB."""

_VERSION: Final = 1
_DOMAIN: Final = b"hypothec/light-client-file/v1\0\0\0"


class StateFile:
    """The file `beacon.state`, for one light client."""

    def __init__(self, beacon: Beacon) -> None:
        self._beacon = beacon

    def load(self, now: UnixSeconds) -> Store | None:
        """The store that was kept; None if there is none.

        Raises StateRefused for a file that is not whole and ours, StaleError for one that is too old.
        """
        config = self._beacon.network
        try:
            with self._beacon.state.open("rb") as file:
                text = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(f"it cannot be read: {error.strerror}") from error
        try:
            kept = self._parsed(text)
            found = restore(config, kept.root(config), kept, now)
            for header in (kept.finalized, kept.optimistic):
                execution_block_hash(config, header)
        except (ProofError, ValueError) as error:
            raise self._refused(str(error)) from error
        return found

    def save(self, store: Store) -> None:
        """Replace the file; whenever this is interrupted, one of the two is there, whole. Raises StateNotKept."""
        config, path = self._beacon.network, self._beacon.state
        content = {
            "version": _VERSION,
            "checkpoint": "0x" + self._beacon.checkpoint.hex(),
            "store": write.store(config, store),
            "seal": "0x" + self._seal(store.root(config)).hex(),
        }
        fresh = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(json.dumps(content, separators=(",", ":")).encode())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            _sync(path.parent)
        except OSError as error:
            raise StateNotKept(f"The light client's state cannot be written: {error.strerror}", file=path) from error

    def _parsed(self, text: bytes) -> Store:
        if len(text) > MAX_BYTES:
            raise ValueError(f"it is longer than {MAX_BYTES} bytes")
        fields = parse.mapping(strict_json.parse(text), "state")
        if fields.get("version") != _VERSION:
            raise ValueError("it is of another version")
        if parse.hash32(fields.get("checkpoint"), "checkpoint") != self._beacon.checkpoint:
            raise ValueError("it was begun at another checkpoint")
        store = read.store(fields.get("store"))
        seal = self._seal(store.root(self._beacon.network))
        if not hmac.compare_digest(parse.hash32(fields.get("seal"), "seal"), seal):
            raise ValueError("its seal is not that of this node over what it holds")
        return store

    def _seal(self, root: Hash32) -> bytes:
        return hmac.digest(self._beacon.seal, _DOMAIN + self._beacon.checkpoint + root, "sha256")

    def _refused(self, why: str) -> StateRefused:
        return StateRefused(
            f"The light client's kept state is not used, and it begins at its checkpoint: {why}",
            file=self._beacon.state,
        )


def _sync(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

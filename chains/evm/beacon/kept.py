"""A light client's store on disk, so that a restart does not need a younger checkpoint.

Owns what the file says and what is looked at again. Every field of it is input: the seal, which only this node can
make, binds all of them to the network and the checkpoint; the store's age is judged anew, and what headers say of
execution blocks is proven anew. A file of another checkpoint is refused, so that an operator who names a better one
begins there.
"""

from __future__ import annotations

from chains.adapter import Beacon
from chains.errors import ProofError
from chains.evm.beacon.errors import StateNotKept, StateRefused
from chains.evm.sealed import SealedFile
from chains.proofs import parse
from chains.proofs.lightclient import read, write
from chains.proofs.lightclient.store import Store, execution_block_hash, restore
from chains.types import UnixSeconds

MAX_BYTES = 1 << 20
"""A store with two committees of 512 has about 120 kB."""


class StateFile:
    """The file `beacon.state`, for one light client."""

    def __init__(self, beacon: Beacon) -> None:
        self._beacon = beacon
        context = b"light client of " + beacon.network.genesis_validators_root
        self._file = SealedFile(beacon.state, beacon.seal, context, MAX_BYTES)

    def load(self, now: UnixSeconds) -> Store | None:
        """The store that was kept; None if there is none.

        Raises StateRefused for a file that is not whole and ours, StaleError for one that is too old.
        """
        config = self._beacon.network
        try:
            content = self._file.load()
            if content is None:
                return None
            kept = self._parsed(content)
            found = restore(config, kept.root(config), kept, now)
            for header in (kept.finalized, kept.optimistic):
                execution_block_hash(config, header)
        except (ProofError, ValueError) as error:
            raise StateRefused(
                f"The light client's kept state is not used, and it begins at its checkpoint: {error}",
                file=self._beacon.state,
            ) from error
        return found

    def save(self, store: Store) -> None:
        """Replace the file; whenever this is interrupted, one of the two is there, whole. Raises StateNotKept."""
        content = {
            "checkpoint": "0x" + self._beacon.checkpoint.hex(),
            "store": write.store(self._beacon.network, store),
        }
        try:
            self._file.save(content)
        except OSError as error:
            raise StateNotKept(
                f"The light client's state cannot be written: {error.strerror}", file=self._beacon.state
            ) from error

    def _parsed(self, content: object) -> Store:
        fields = parse.mapping(content, "state")
        if parse.hash32(fields.get("checkpoint"), "checkpoint") != self._beacon.checkpoint:
            raise ValueError("it was begun at another checkpoint")
        return read.store(fields.get("store"))

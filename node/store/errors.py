"""What can go wrong with a store, as branches of the one error tree: whose fault, and what to do.

Must not know which database is behind the port; the sqlite package translates its own exceptions into these.
"""

from __future__ import annotations

from chains.errors import ConfigError, HypothecError, RetryError
from node.consensus.protocol.errors import SlotConflict


class StoreLocked(ConfigError):
    """Another process holds the store (or the key): running two would sign twice."""

    reason = "STORE_LOCKED"


class StoreExists(ConfigError):
    """A store was to be initialised where there is one already."""

    reason = "STORE_EXISTS"


class StoreForeign(ConfigError):
    """The file is no store of a node, or it is of another network."""

    reason = "STORE_FOREIGN"


class StoreTooNew(ConfigError):
    """The store was written by a newer program."""

    reason = "STORE_TOO_NEW"


class StoreUnwritable(ConfigError):
    """The store cannot be opened or written: read-only, no permission, no such directory."""

    reason = "STORE_UNWRITABLE"


class StoreFull(RetryError):
    """No space left; nothing of the call was stored. It may succeed once there is space."""

    reason = "STORE_FULL"
    status = "RESOURCE_EXHAUSTED"


class StoreCorrupt(HypothecError):
    """What was read back is not what was written. The node must not go on with it."""

    reason = "STORE_CORRUPT"
    status = "DATA_LOSS"


class StoreFailed(HypothecError):
    """The disk failed while writing: it is unknown what is durable. The store takes no more calls; restart the node."""

    reason = "STORE_FAILED"
    status = "INTERNAL"


class StoreClosed(HypothecError):
    """A call after the store was closed."""

    reason = "STORE_CLOSED"
    status = "UNAVAILABLE"


class DoubleSignError(SlotConflict):
    """Another digest stands in the slot already. Nothing of the call was stored; nothing may be signed."""

    reason = "DOUBLE_SIGN"


class SlotPassed(SlotConflict):
    """The slot is below the floor, where records were forgotten and nothing is signed again."""

    reason = "SLOT_PASSED"


class StateConflict(HypothecError):
    """A state that does not follow the stored one: not newer, another at the same sequence, or not as certified."""

    reason = "STATE_CONFLICT"
    status = "FAILED_PRECONDITION"


class OutboxConflict(HypothecError):
    """A transaction nonce that is taken by another purpose, or a purpose that was never added."""

    reason = "OUTBOX_CONFLICT"
    status = "FAILED_PRECONDITION"

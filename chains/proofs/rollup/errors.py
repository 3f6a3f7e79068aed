"""Why what stands on L1 settles nothing of a rollup. Nobody who served it lied: it is what the chain says."""

from __future__ import annotations

from chains.errors import HypothecError


class NotSettled(HypothecError):
    """A claim that does not count, and never will unless the contracts' owners change their mind."""

    reason = "ROLLUP_NOT_SETTLED"
    status = "FAILED_PRECONDITION"


class ContractChanged(NotSettled):
    """A contract on L1 is not the one whose layout the recipe knows: nothing in it can be read any more."""

    reason = "ROLLUP_CONTRACT_CHANGED"


class NoSuchClaim(NotSettled):
    """There is no claim there: beyond the end of the list, deleted, or never made."""

    reason = "ROLLUP_NO_SUCH_CLAIM"


class UnknownGame(NotSettled):
    """The game is no clone of an implementation that the recipe admits: what its storage means is not known."""

    reason = "ROLLUP_GAME_UNKNOWN"


class NotRespected(NotSettled):
    """The game is of a type that withdrawals do not respect. Anybody can post one."""

    reason = "ROLLUP_GAME_NOT_RESPECTED"


class Blacklisted(NotSettled):
    """The guardian has struck out this very game."""

    reason = "ROLLUP_GAME_BLACKLISTED"


class Retired(NotSettled):
    """The guardian has retired all games up to a time, and this one was made before it."""

    reason = "ROLLUP_GAME_RETIRED"


class Defeated(NotSettled):
    """The challenger won: the claim is false."""

    reason = "ROLLUP_CLAIM_DEFEATED"


class AnotherRoot(NotSettled):
    """The claim is not about the block that the rollup has at its height: it is false, or of another chain."""

    reason = "ROLLUP_ANOTHER_ROOT"


class Overtaken(NotSettled):
    """The claim is of a block below one that has passed its challenge, and so brings nothing."""

    reason = "ROLLUP_CLAIM_OVERTAKEN"


class Unproven(NotSettled):
    """No endpoint proves what the claim would have to be held against: its block is unknown, or its state long gone.

    Anybody can claim something of a block so old that nobody serves its state, so this is nobody's fault.
    """

    reason = "ROLLUP_CLAIM_UNPROVEN"


class StillToCome(Unproven):
    """The claim is of a block that the rollup's endpoints do not have yet, or not as a final one."""

    reason = "ROLLUP_CLAIM_STILL_TO_COME"


class MachineStuck(NotSettled):
    """The assertion is of a machine that did not finish: there is no block that it ended in."""

    reason = "ROLLUP_MACHINE_STUCK"

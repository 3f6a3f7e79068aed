"""What can go wrong around a testnet, in words for somebody who has just typed the command."""

from __future__ import annotations

from chains.errors import ConfigError, HypothecError


class ToolMissing(ConfigError):
    """A program that the testnet runs is not installed."""

    reason = "TOOL_MISSING"


class PortTaken(ConfigError):
    """Somebody else listens where the testnet would."""

    reason = "PORT_TAKEN"


class ProcessDied(HypothecError):
    """A process of the testnet ended by itself; `tail` is the end of its log."""

    reason = "PROCESS_DIED"

    def __init__(self, message: str, tail: str, **values: object) -> None:
        super().__init__(message, **values)
        self.tail = tail

    def __str__(self) -> str:
        return f"{super().__str__()}; its log ends with:\n{self.tail}" if self.tail else super().__str__()


class NotInTime(HypothecError):
    """Something that the testnet waits for did not happen."""

    reason = "NOT_IN_TIME"


class TransactionFailed(HypothecError):
    """A transaction of the demo was mined and reverted."""

    reason = "TRANSACTION_FAILED"

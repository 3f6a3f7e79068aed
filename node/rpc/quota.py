"""How much one caller may ask for: a token bucket of records, and how many calls it may have open.

Pure: time is an argument. Bounded: the callers that asked longest ago are forgotten, with a full bucket.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from node.rpc.errors import QuotaExceeded, TooManyCalls

_MAX_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """Records a second, the most that can be saved up, and calls open at once; each for one caller."""

    records_per_s: float = 5_000
    burst: int = 20_000
    open_calls: int = 256


@dataclass(slots=True)
class _Account:
    tokens: float
    at: float
    open: int = 0


class Quotas:
    """The buckets of all callers of a node."""

    def __init__(self, limits: QuotaLimits) -> None:
        self._limits = limits
        self._callers: OrderedDict[str, _Account] = OrderedDict()

    def spend(self, caller: str, records: int, now: float) -> None:
        """Take `records` from the caller's bucket at `now` (seconds, any origin). Raises QuotaExceeded."""
        account = self._account(caller, now)
        rate = self._limits.records_per_s
        account.tokens = min(self._limits.burst, account.tokens + (now - account.at) * rate)
        account.at = now
        if records > account.tokens:
            wait_ms = int((min(records, self._limits.burst) - account.tokens) / rate * 1000) + 1
            raise QuotaExceeded(
                "ask for fewer records, or later", caller=caller, records=records, retry_after_ms=wait_ms
            )
        account.tokens -= records

    def enter(self, caller: str, now: float) -> None:
        """Count one more open call. Raises TooManyCalls."""
        account = self._account(caller, now)
        if account.open >= self._limits.open_calls:
            raise TooManyCalls("close a call before the next", caller=caller, bound=self._limits.open_calls)
        account.open += 1

    def leave(self, caller: str) -> None:
        """Count one open call less."""
        if (account := self._callers.get(caller)) is not None:
            account.open = max(0, account.open - 1)

    def _account(self, caller: str, now: float) -> _Account:
        account = self._callers.get(caller)
        if account is None:
            account = self._callers[caller] = _Account(self._limits.burst, now)
            if len(self._callers) > _MAX_CALLERS:
                self._forget_one()
        self._callers.move_to_end(caller)
        return account

    def _forget_one(self) -> None:
        for caller, account in self._callers.items():
            if not account.open:
                del self._callers[caller]
                return

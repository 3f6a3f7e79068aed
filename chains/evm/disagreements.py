"""Who said what when the endpoints of a chain differed on a final block.

Owns that record and its bound. Must not know who is right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from chains.types import Disagreement, Hash32, Height, UnixSeconds

KEPT = 64


class Disagreements:
    """The last KEPT of one chain, each once however often it is said again; `now` gives seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: deque[Disagreement] = deque(maxlen=KEPT)

    def note(self, height: Height, said: Mapping[str, Hash32], agreed: Hash32 | None) -> None:
        """What each endpoint has at `height`; only kept if they differ."""
        if len(set(said.values())) < 2:
            return
        found = Disagreement(height, tuple(sorted(said.items())), agreed, UnixSeconds(int(self._now())))
        if all((each.height, each.said) != (found.height, found.said) for each in self._kept):
            self._kept.append(found)

    def kept(self) -> tuple[Disagreement, ...]:
        """Oldest first."""
        return tuple(self._kept)

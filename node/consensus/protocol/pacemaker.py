"""Which epoch it is: wishes, and the timer that makes a node wish.

After OCR3: more than f wishes for later epochs pull a node along, more than 2f switch it. Must not know what an epoch's
leader does, only that nothing was committed for too long.
"""

from __future__ import annotations

from collections.abc import Callable

from node.consensus.protocol.desk import Desk
from node.consensus.protocol.events import TimerName
from node.consensus.protocol.messages import NewEpochWish

_MOST_DOUBLINGS = 3


class Pacemaker:
    """`enter(epoch)` is called when enough nodes wish for it."""

    def __init__(self, desk: Desk, enter: Callable[[int], None]) -> None:
        self._desk = desk
        self._enter = enter
        self._wishes = [0] * desk.config.n
        self._fruitless_epochs = 0

    @property
    def wish(self) -> int:
        """The latest epoch that this node wishes for."""
        return self._wishes[self._desk.me]

    def wish_for(self, epoch: int) -> None:
        """Wish for this epoch, if not for a later one already, and tell everybody. A silent node only listens."""
        if self._desk.silent:
            return
        self._wishes[self._desk.me] = max(self.wish, epoch)
        self.repeat()
        self._consider()

    def repeat(self, *, to: int | None = None) -> None:
        """Tell everybody, or one, again."""
        if self.wish and not self._desk.silent:
            self._desk.say(NewEpochWish(self.wish), to=to)

    def is_news(self, sender: int, epoch: int) -> bool:
        """Whether a wish of `sender` would count: only its latest does."""
        return epoch > self._wishes[sender]

    def on_wish(self, sender: int, epoch: int) -> None:
        """A verified wish."""
        self._wishes[sender] = epoch
        self._consider()

    def entered(self) -> None:
        """The desk stands in a new epoch: begin to wait for progress in it, longer each time there was none."""
        desk = self._desk
        if not desk.silent:
            self._wishes[desk.me] = max(self.wish, desk.epoch)
        doublings = min(self._fruitless_epochs, _MOST_DOUBLINGS)
        desk.set_timer(TimerName.PROGRESS, desk.config.timing.delta_progress << doublings)
        self._fruitless_epochs += 1

    def progressed(self) -> None:
        """Something was committed."""
        self._fruitless_epochs = 0
        self._desk.set_timer(TimerName.PROGRESS, self._desk.config.timing.delta_progress)

    def on_timer(self) -> None:
        """Nothing was committed for too long, or the leader did not start its epoch in time."""
        self.wish_for(self._desk.epoch + 1)

    def _consider(self) -> None:
        f = self._desk.config.f
        later = sorted((epoch for epoch in self._wishes if epoch > self.wish), reverse=True)
        if len(later) > f and not self._desk.silent:
            self._wishes[self._desk.me] = later[f]
            self.repeat()
        beyond = sorted((epoch for epoch in self._wishes if epoch > self._desk.epoch), reverse=True)
        if len(beyond) > 2 * f:
            self._enter(beyond[2 * f])

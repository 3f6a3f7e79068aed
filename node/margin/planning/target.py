"""What a plan is to reach and may not do, judged by the account's own profile.

The target is a level of the profile: equity of at least ratio·requirement, and an excess of at least so much. No part
of a plan may leave any level's excess lower than it was, or insolvent what was not: then no status is graver either.
Only where costs would take all that there is may a plan end so, and others then bear the rest. Must not know legs.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.margin.models.errors import UnknownAsset
from node.margin.models.fixed import Money, up
from node.margin.models.profile import Evaluation
from node.margin.planning.account import Account, Change
from node.margin.planning.terms import Terms
from node.model.health import HealthStatus

_INSOLVENT = HealthStatus.INSOLVENT.name.lower()


@dataclass(frozen=True, slots=True)
class Goal:
    """An account as it stands, and the place of the level that a plan brings it back to.

    `is_lost`: a plan may end in insolvency, as leaving the account as it is would only put that off.
    """

    account: Account
    terms: Terms
    before: Evaluation
    place: int
    is_lost: bool = False

    @classmethod
    def of(cls, account: Account, terms: Terms) -> Goal:
        """Raises PortfolioError where the account cannot be evaluated, or its profile has no such level."""
        before = account.evaluate()
        names = [level.threshold.name for level in before.levels]
        wanted = terms.target.level or names[max(0, len(names) - 2)]
        if wanted not in names:
            raise UnknownAsset(
                f"the profile has no such level; give one of {', '.join(names)}",
                account=account.name,
                instrument=wanted,
                field="plan.target.level",
            )
        return cls(account, terms, before, names.index(wanted))

    @property
    def is_liquidatable(self) -> bool:
        """Whether the profile says so: that the gravest threshold is not met, or worse."""
        return self.before.status in {self.before.levels[-1].threshold.unmet, _INSOLVENT}

    def after(self, change: Change) -> Evaluation:
        """The account after a change."""
        return self.account.evaluate(change)

    def missing(self, evaluation: Evaluation) -> Money:
        """What equity lacks to the target; at most zero when it is reached."""
        level, target = evaluation.levels[self.place], self.terms.target
        return Money(max(up(level.requirement, target.ratio) - level.equity, target.excess - level.excess))

    def is_worse(self, evaluation: Evaluation, paid: int = 0) -> bool:
        """Whether any level's excess is lower than before by more than was paid, or costs have made it insolvent."""
        if evaluation.status == _INSOLVENT != self.before.status and not self.is_lost:
            return True
        pairs = zip(self.before.levels, evaluation.levels, strict=True)
        return any(after.excess < before.excess - paid for before, after in pairs)

"""The health of one account, by whatever rules the policy in force names.

Rules say what an account's state amounts to; what may leave, what is seized and who is looked at follow from what they
say, and are the same for all of them. Must not know any rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from node.margin.context import MarginContext
from node.margin.haircuts import Haircuts
from node.margin.headroom import Headroom, Key, Level
from node.margin.policy import Policy
from node.margin.portfolio.rules import PortfolioRules
from node.model.health import Health, HoldingLine
from node.model.ledger import AccountView


class Rules(Protocol):
    """What accounts are judged by. All of it is total: whatever venues report and owners hold, there is an answer."""

    def evaluate(self, view: AccountView, context: MarginContext) -> Health:
        """The health of an account."""
        ...

    def is_covered(self, view: AccountView, context: MarginContext) -> bool:
        """Whether an account from which something has left certainly covers claims and initial margin.

        At the low end, with nothing to its credit that venues report: no profit, and no position that would gain.
        """
        ...

    def owed(self, view: AccountView, context: MarginContext) -> Mapping[str, int]:
        """What a liquidation credits to each venue that has reported the account (1e-12 USD): claim and closing fees.

        Within the owner's limit, and resting on what is certain alone.
        """
        ...

    def premium(self, line: HoldingLine, context: MarginContext) -> tuple[int, int]:
        """Collateral taken of a holding for each unit of credit, as numerator and denominator."""
        ...

    def turn(self, asset: str, policy: Policy) -> int:
        """When an asset is seized by the policy's order: the lower the earlier, equal ones together."""
        ...

    def headrooms(self, views: Iterable[AccountView], context: MarginContext) -> Iterator[Headroom]:
        """How far each account is from being liquidatable, in order; what they have in common is made together."""
        ...

    def level(self, key: Key, context: MarginContext) -> Level:
        """What a headroom depends on, as it is."""
        ...


_STATIC: Rules = Haircuts()
_BY_PROFILE: Mapping[str, Rules] = {"hypothec": PortfolioRules()}


def rules_of(policy: Policy) -> Rules:
    """The rules that a policy names."""
    return _STATIC if policy.margin is None else _BY_PROFILE[policy.margin.profile]


def evaluate(view: AccountView, context: MarginContext) -> Health:
    """The health of an account. Total: whatever venues report and owners hold, there is an answer."""
    return rules_of(context.policy).evaluate(view, context)

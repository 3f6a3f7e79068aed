"""What is wrong with a plan or a bid that somebody handed in."""

from __future__ import annotations

from chains.errors import InputError, ProofError


class PlanRefused(ProofError):
    """A plan says something that does not hold of the account it is for. `claim` names it; make the plan anew."""

    reason = "PLAN_REFUSED"

    def __init__(self, message: str, *, account: str, claim: str, **values: object) -> None:
        super().__init__(message, account=account, claim=claim, **values)
        self.account, self.claim = account, claim


class BidRefused(InputError):
    """A bid asks for more, or pays less, than the auction allows at its time."""

    reason = "BID_REFUSED"

"""Margin before and after what an owner proposes: trades, withdrawals, deposits, borrowing and repaying.

One after the other, each upon those that were admitted. Admissible is what leaves initial margin (the strictest level);
what adds collateral or takes a debt away; and a trade that strictly reduces risk: that leaves no level's excess lower,
at its own price and at the market's, and the strictest one's higher. It is judged without what has no usable price, so
that a bad feed never blocks a reduction elsewhere. A withdrawal is judged without any venue's profit. An isolated
account is asked about by itself: what is deposited there comes from outside, as everywhere. Collateral that cannot be
judged even alone is not admitted: it would leave the account unknown. Must not know how a proposal is carried out, or
who asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from node.margin.models.book import isolated_name
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.fixed import Money
from node.margin.models.profile import Evaluation
from node.margin.planning.account import Account, Kind
from node.margin.planning.proposals import Act, Proposal, alone, carried_out, read_proposal

MOST_STEPS = 100


class Verdict(StrEnum):
    """Whether it may be done, and why."""

    ADMITTED = "admitted"
    REDUCES_RISK = "reduces_risk"
    """Below initial margin, and yet admitted: it strictly reduces risk."""
    BELOW_INITIAL_MARGIN = "below_initial_margin"
    SUPPORTED_BY_PROFIT_ONLY = "supported_by_profit_only"
    """A venue's profit would have to stand for what leaves."""
    NOT_HELD = "not_held"
    """More than there is."""
    UNKNOWN = "unknown"
    """The account cannot be judged, and this does not certainly reduce its risk."""

    @property
    def is_admitted(self) -> bool:
        """Whether it may be done."""
        return self in {Verdict.ADMITTED, Verdict.REDUCES_RISK}


@dataclass(frozen=True, slots=True)
class Step:
    """One proposal and whose: the standing before and after, None where the account cannot be judged, and the verdict.

    `blind` are the assets that it was judged without, `error` says why there is no standing.
    """

    account: str
    proposal: Proposal
    before: Evaluation | None
    after: Evaluation | None
    verdict: Verdict
    blind: tuple[str, ...] = ()
    error: PortfolioError | None = None

    @property
    def change(self) -> dict[str, Money]:
        """By how much each level's excess would change, by its name; nothing where one side is not known."""
        if self.before is None or self.after is None:
            return {}
        pairs = zip(self.before.levels, self.after.levels, strict=True)
        return {old.threshold.name: Money(new.excess - old.excess) for old, new in pairs}


@dataclass(frozen=True, slots=True)
class Family:
    """An account with the isolated accounts in it, which are read when a proposal names them."""

    main: Account
    isolated: Mapping[str, object] = field(default_factory=dict)

    def read(self, title: str, asked: Fields) -> Account:
        """The account of a title ("" for the main one); one that is not there yet is empty. Raises PortfolioError."""
        if not title:
            return self.main
        if self.main.profile.apart is None:
            raise asked.wrong("the profile has no isolated accounts", "isolated")
        name = isolated_name(self.main.name, title)
        return Account.read(self.main.form, self.main.setting, self.isolated.get(title, {}), name)


def what_if(family: Family, proposals: Sequence[object]) -> tuple[Step, ...]:
    """Each proposal's step. Raises PortfolioError for one that cannot be read, and for too many."""
    name = family.main.name
    if len(proposals) > MOST_STEPS:
        raise OutOfRange("ask less", account=name, field="what_if", length=len(proposals), bound=MOST_STEPS)
    steps, now = [], {}
    for place, content in enumerate(proposals):
        asked = Fields.of(content, name, f"what_if {place}")
        title = asked.text("isolated", "")
        if title not in now:
            now[title] = family.read(title, asked)
        step, now[title] = _step(now[title], read_proposal(asked))
        steps.append(step)
    return tuple(steps)


def _step(account: Account, proposal: Proposal) -> tuple[Step, Account]:
    act, (before, unjudged), changed = proposal.act, _judged(account), carried_out(account, proposal)
    if changed is None:
        verdict = Verdict.UNKNOWN if act is Act.TRADE else Verdict.NOT_HELD
        error = _judged(alone(account, proposal))[1] if act is Act.TRADE else unjudged
        return Step(account.name, proposal, before, None, verdict, error=error), account
    after, error = _judged(changed)
    blind: tuple[str, ...] = ()
    if after is not None and after.levels[0].excess >= 0:
        verdict = Verdict.ADMITTED
        if act in {Act.WITHDRAW, Act.BORROW} and after.levels[0].excess < _profits(changed):
            verdict = Verdict.SUPPORTED_BY_PROFIT_ONLY
    elif act in {Act.DEPOSIT, Act.REPAY}:
        is_known = after is not None or _is_judged_alone(changed, proposal.asset)
        verdict = Verdict.ADMITTED if is_known else Verdict.UNKNOWN
    elif act is Act.WITHDRAW and _owes_nothing(changed):
        verdict = Verdict.ADMITTED
    else:
        blind = () if before is not None and after is not None else _unjudgeable(account, changed)
        fair = carried_out(account, replace(proposal, price=None, fee=Money(0))) if act is Act.TRADE else None
        if fair is not None and proposal.asset not in blind and _reduces(account, changed, fair, blind):
            verdict = Verdict.REDUCES_RISK
        else:
            verdict = Verdict.UNKNOWN if after is None else Verdict.BELOW_INITIAL_MARGIN
    step = Step(account.name, proposal, before, after, verdict, blind, error or unjudged)
    return step, changed if verdict.is_admitted else account


def _judged(account: Account) -> tuple[Evaluation | None, PortfolioError | None]:
    """What the profile says, or why it cannot."""
    try:
        return account.evaluate(), None
    except PortfolioError as error:
        return None, error


def _profits(account: Account) -> int:
    """Σ over venues of what each owes the account, where it does: losses there set off its own profits alone.

    Where the account has terms with its venues, its model knows that already.
    """
    if account.venues:
        return 0
    by_venue: defaultdict[str, int] = defaultdict(int)
    for held in account.holdings.values():
        if held.kind.is_position:
            by_venue[held.venue] += held.worth
    return sum(max(0, worth) for worth in by_venue.values())


def _owes_nothing(account: Account) -> bool:
    unread = {kind for kind, _ in account.unread}
    kinds = {held.kind for held in account.holdings.values()} | unread
    return account.cash >= 0 and kinds <= {Kind.COLLATERAL} and not any(map(account.claim, account.venues))


# === Reducing risk ===


def _reduces(account: Account, changed: Account, fair: Account, blind: tuple[str, ...]) -> bool:
    before, after, at_market = (_judged(_without(each, blind))[0] for each in (account, changed, fair))
    if before is None or after is None or at_market is None:
        return False
    for then in (after, at_market):
        if any(new.excess < old.excess for old, new in zip(before.levels, then.levels, strict=True)):
            return False
    return at_market.levels[0].excess > before.levels[0].excess


def _unjudgeable(*accounts: Account) -> tuple[str, ...]:
    """The assets without which an account must be judged: those that it cannot be judged with, alone."""
    found = {asset for each in accounts for asset in _assets(each) if not _is_judged_alone(each, asset)}
    return tuple(sorted(found))


def _is_judged_alone(account: Account, asset: str) -> bool:
    """Whether the account can be judged with what it has of an asset and nothing else."""
    others = tuple(each for each in _assets(account) if each != asset)
    return _judged(_without(account, others))[0] is not None


def _assets(account: Account) -> set[str]:
    named = {str(item.get("asset")) for _, item in account.unread}
    return named | {held.asset for held in account.holdings.values()}


def _without(account: Account, assets: tuple[str, ...]) -> Account:
    return replace(
        account,
        holdings={name: held for name, held in account.holdings.items() if held.asset not in assets},
        unread=tuple((kind, item) for kind, item in account.unread if item.get("asset") not in assets),
    )

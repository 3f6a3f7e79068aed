"""`hypothec margin plan` and `hypothec margin what-if`: what would be done for accounts in files, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.margin import DEFAULT_PROFILE, File, ProfileName, dollars, parsed, profile_named, raise_only, shown_error

if TYPE_CHECKING:
    from node.margin.models.errors import PortfolioError
    from node.margin.models.profile import Evaluation
    from node.margin.planning.account import Account
    from node.margin.planning.files import Planned
    from node.margin.planning.legs import Leg
    from node.margin.planning.losses import Settlement
    from node.margin.planning.plan import Plan, Standing
    from node.margin.planning.schedule import Schedule
    from node.margin.planning.what_if import Step

AsJson = Annotated[bool, typer.Option("--json", help="All of it, as JSON.")]
_OFFER_TIMES = (0, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200)


def plan(file: File, profile: ProfileName = DEFAULT_PROFILE, *, as_json: AsJson = False) -> None:
    """Say what would be closed and seized to bring each account of a file back, and prove it.

    The terms are the file's section `plan`; node/margin/planning/terms.py says them. Every plan is verified before it
    is shown; an isolated account has its own. Exit status 1 when an account cannot be evaluated.
    """
    from node.cli.shown import print_json, print_lines
    from node.margin.planning.files import plans

    outcomes = list(plans(profile_named(profile), parsed(file), file.stem))
    if len(outcomes) == 1 and isinstance(outcomes[0].found, Exception) and not outcomes[0].isolated:
        raise_only(outcomes[0].found, as_json=as_json)
    if as_json:
        shown = [_shown_plans(each) for each in outcomes]
        print_json(shown[0] if len(shown) == 1 else {"profile": profile, "accounts": shown})
    else:
        for each in outcomes:
            print_lines(_told_plans(each))
    if not all(each.is_whole for each in outcomes):
        raise typer.Exit(1)


def what_if(file: File, profile: ProfileName = DEFAULT_PROFILE, *, as_json: AsJson = False) -> None:
    """Say each account's margin before and after the trades, withdrawals and deposits of the file's `what_if`.

    One after the other, each upon those that were admitted; node/margin/planning/proposals.py says the format. Exit
    status 1 when an account, before or after, cannot be evaluated.
    """
    from node.cli.shown import print_json, print_lines
    from node.margin.planning.files import answers

    outcomes = list(answers(profile_named(profile), parsed(file), file.stem))
    if len(outcomes) == 1 and isinstance(outcomes[0], Exception):
        raise_only(outcomes[0], as_json=as_json)
    if as_json:
        shown = [_error(each) if isinstance(each, Exception) else _shown_answer(*each) for each in outcomes]
        print_json(shown[0] if len(shown) == 1 else {"profile": profile, "accounts": shown})
    else:
        for each in outcomes:
            print_lines(_told_error(each) if isinstance(each, Exception) else _told_answer(*each))
    if any(isinstance(each, Exception) or any(step.error for step in each[1]) for each in outcomes):
        raise typer.Exit(1)


# === JSON ===


def _error(error: PortfolioError) -> dict[str, Any]:
    return {"account": error.account, "error": shown_error(error)}


def _shown_plans(planned: Planned) -> dict[str, Any]:
    found = planned.found
    shown = _error(found) if isinstance(found, Exception) else _shown_plan(*found)
    isolated = {title: _shown_plans(each) for title, each in planned.isolated.items()}
    return {**shown, "isolated": isolated} if isolated else shown


def _shown_plan(account: Account, plan: Plan) -> dict[str, Any]:
    from node.cli.shown import usd

    levels = _levels(account)
    return {
        "account": plan.account,
        "profile": plan.profile,
        "outcome": plan.outcome.value,
        "target_level": plan.level,
        "verified": True,
        "cost_usd": usd(plan.cost),
        "net_value_usd": usd(plan.net_value),
        "before": _shown_standing(plan.before, levels),
        "after": _shown_standing(plan.after, levels),
        "legs": [_shown_leg(account, leg) for leg in plan.legs],
        "proof": [_shown_standing(each, levels) for each in plan.proof],
        "settlement": None if plan.settlement is None else _shown_settlement(plan.settlement),
        "auction": None if plan.auction is None else _shown_auction(plan.auction),
    }


def _levels(account: Account) -> list[str]:
    return [level.threshold.name for level in account.evaluate().levels]


def _shown_standing(standing: Standing, levels: list[str]) -> dict[str, Any]:
    from node.cli.shown import usd

    excess = {name: usd(amount) for name, amount in zip(levels, standing.excess, strict=True)}
    return {"legs": list(standing.legs), "status": standing.status, "excess_usd": excess}


def _shown_leg(account: Account, leg: Leg) -> dict[str, Any]:
    from node.cli.shown import usd
    from node.margin.planning.account import text

    return {
        "leg": leg.name,
        "cost_usd": usd(leg.cost),
        "actions": [
            {
                "holding": action.holding,
                "amount": text(action.amount),
                "chain": account.holdings[action.holding].chain if action.holding in account.holdings else "",
                "venue": account.holdings[action.holding].venue if action.holding in account.holdings else "",
                "settles": action.settles,
                "settled": text(action.settled),
                "cash_usd": usd(action.cash),
                "cost_usd": usd(action.cost),
            }
            for action in leg.actions
        ],
    }


def _shown_settlement(settlement: Settlement) -> dict[str, Any]:
    from node.cli.shown import usd
    from node.margin.planning.account import text

    return {
        "loss_usd": usd(settlement.loss),
        "insured_usd": usd(settlement.insured),
        "deleveraged": [
            {
                "account": each.account,
                "instrument": str(each.instrument),
                "amount": text(each.amount),
                "paid_usd": usd(each.paid),
                "rank": place + 1,
                "score": usd(each.score),
            }
            for place, each in enumerate(settlement.deleveraged)
        ],
        "socialised": [{"account": each.account, "paid_usd": usd(each.paid)} for each in settlement.socialised],
        "uncovered_usd": usd(settlement.uncovered),
        "remainder": [{"holding": each.holding, "amount": text(each.amount)} for each in settlement.remainder],
    }


def _shown_auction(auction: Schedule) -> dict[str, Any]:
    from node.cli.shown import usd
    from node.margin.planning.account import text

    return {
        "insolvent": auction.is_insolvent,
        "mark_usd": usd(auction.mark),
        "maintenance_usd": usd(auction.maintenance),
        "buffered_usd": usd(auction.buffered),
        "offers": [
            {"seconds": offer.seconds, "largest_share": text(offer.share), "price_usd": usd(offer.price)}
            for offer in map(auction.offer, _OFFER_TIMES)
        ],
    }


def _shown_answer(account: Account, steps: tuple[Step, ...]) -> dict[str, Any]:
    return {"account": account.name, "profile": account.profile.name, "steps": [_shown_step(each) for each in steps]}


def _shown_step(step: Step) -> dict[str, Any]:
    from node.cli.shown import usd
    from node.margin.planning.account import text

    proposal = step.proposal
    return {
        "account": step.account,
        "proposal": proposal.act.value,
        "kind": proposal.kind.value,
        "asset": proposal.asset,
        "amount": text(proposal.amount),
        "admissible": step.verdict.is_admitted,
        "verdict": step.verdict.value,
        "judged_without": list(step.blind),
        "before": None if step.before is None else _shown_evaluation(step.before),
        "after": None if step.after is None else _shown_evaluation(step.after),
        "change_usd": {name: usd(amount) for name, amount in step.change.items()},
        **({} if step.error is None else {"error": shown_error(step.error)}),
    }


def _shown_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    from node.cli.shown import usd

    excess = {level.threshold.name: usd(level.excess) for level in evaluation.levels}
    return {"status": evaluation.status, "excess_usd": excess}


# === Text ===


def _told_error(error: PortfolioError) -> list[str]:
    return [f"{error.account}: cannot be evaluated: {error}"]


def _told_plans(planned: Planned) -> list[str]:
    found = planned.found
    lines = _told_error(found) if isinstance(found, Exception) else _told_plan(*found)
    return [*lines, *(line for each in planned.isolated.values() for line in _told_plans(each))]


def _told_plan(account: Account, plan: Plan) -> list[str]:
    levels = _levels(account)
    lines = [f"{plan.account}: {plan.outcome.value.replace('_', ' ')} ({plan.profile}, target: {plan.level})"]
    lines.append(f"  before  {_told_standing(plan.before, levels)}")
    for leg in plan.legs:
        lines.append(f"  {leg.name}, cost {dollars(leg.cost)}")
        for action in leg.actions:
            settled = f" settles {action.settled / 10**18:g} of {action.settles}" if action.settled else ""
            lines.append(f"    {action.amount / 10**18:g} of {action.holding}{settled}, cash {dollars(action.cash)}")
    if plan.legs:
        lines.append(f"  after   {_told_standing(plan.after, levels)}")
        lines.append(f"  each of {len(plan.proof)} parts of it leaves the account no worse; cost {dollars(plan.cost)}")
    if plan.settlement is not None:
        lines += _told_settlement(plan.settlement)
    if plan.auction is not None:
        first, later = plan.auction.offer(0), plan.auction.offer(900)
        lines.append(
            f"  auction instead: {first.share / 10**18:.2%} for {dollars(first.price)} at first,"
            f" {later.share / 10**18:.2%} for {dollars(later.price)} after 15 minutes"
        )
    return lines


def _told_standing(standing: Standing, levels: list[str]) -> str:
    excess = ", ".join(f"{name} {dollars(amount)}" for name, amount in zip(levels, standing.excess, strict=True))
    return f"{standing.status}: excess {excess}"


def _told_settlement(settlement: Settlement) -> list[str]:
    lines = [f"  loss {dollars(settlement.loss)}: {dollars(settlement.insured)} from the insurance fund"]
    lines += [f"    {dollars(each.paid)} from {each.account}, {each.instrument}" for each in settlement.deleveraged]
    lines += [f"    {dollars(each.paid)} socialised to {each.account}" for each in settlement.socialised]
    lines += [f"    {each.amount / 10**18:g} of {each.holding} goes with the loss" for each in settlement.remainder]
    return [*lines, f"    {dollars(settlement.uncovered)} uncovered"]


def _told_answer(account: Account, steps: tuple[Step, ...]) -> list[str]:
    lines = [f"{account.name} ({account.profile.name})"]
    for step in steps:
        proposal = step.proposal
        verdict = step.verdict.value.replace("_", " ")
        of = "" if step.account == account.name else f" ({step.account})"
        lines.append(f"  {proposal.act.value} {proposal.amount / 10**18:g} {proposal.asset}{of}: {verdict}")
        if step.error is not None:
            lines.append(f"    cannot be evaluated: {step.error}")
        for name, amount in step.change.items():
            lines.append(f"    {name:12} excess {'+' if amount >= 0 else ''}{dollars(amount)}")
    return lines

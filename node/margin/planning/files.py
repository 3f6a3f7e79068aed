"""The accounts of a portfolio file, with the file's `plan` and `what_if`.

The format is that of node/margin/models/book.py; terms.py and proposals.py say the two sections, which hold for every
account of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from node.margin.models.book import accounts
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.profile import Profile
from node.margin.planning.account import Account, Setting
from node.margin.planning.plan import Plan, plan_liquidation
from node.margin.planning.reading import read_account
from node.margin.planning.terms import Terms, read_terms
from node.margin.planning.verify import verify
from node.margin.planning.what_if import MOST_STEPS, Step, what_if

Answer = TypeVar("Answer")


def plans(profile: Profile, content: object, name: str) -> Iterator[tuple[Account, Plan] | PortfolioError]:
    """Each account's plan, verified; one that cannot be evaluated stops no other.

    `name` is for one account that has none. Raises PortfolioError where the file as a whole cannot be read.
    """
    terms = terms_of(content)

    def planned(account: Account) -> tuple[Account, Plan]:
        plan = plan_liquidation(account, terms)
        verify(plan, account, terms)
        return account, plan

    return _each(profile, content, name, planned)


def answers(
    profile: Profile, content: object, name: str
) -> Iterator[tuple[Account, tuple[Step, ...]] | PortfolioError]:
    """Each account's steps for what the file asks; as plans() otherwise."""
    asked = Fields.of(content, "").entries("what_if", most=MOST_STEPS)
    return _each(profile, content, name, lambda account: (account, what_if(account, asked)))


def terms_of(content: object) -> Terms:
    """The file's terms, which for an asset without its own reckon with the market's `vol` and `depth`."""
    file = Fields.of(content, "")
    return read_terms(file.section("plan"), file.section("market"))


def _each(
    profile: Profile, content: object, name: str, answer: Callable[[Account], Answer]
) -> Iterator[Answer | PortfolioError]:
    file = Fields.of(content, "")
    setting = Setting.of(profile, file.section("market"), file.section("parameters"))
    for account_name, account in accounts(content, name):
        try:
            yield answer(read_account(setting, account, account_name))
        except PortfolioError as error:
            yield error

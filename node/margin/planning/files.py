"""The accounts of a portfolio file, with the file's `plan` and `what_if`.

The format is that of node/margin/models/book.py; terms.py and proposals.py say the two sections, which hold for every
account of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from node.margin.models.book import accounts, isolated_name
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.profile import Profile
from node.margin.models.profiles import market_of, unknown_refused
from node.margin.planning.account import Account, Setting
from node.margin.planning.plan import Plan, plan_liquidation
from node.margin.planning.reading import read_account
from node.margin.planning.terms import Terms, read_terms
from node.margin.planning.verify import verify
from node.margin.planning.what_if import MOST_STEPS, Family, Step, what_if


@dataclass(frozen=True, slots=True)
class Planned:
    """An account with its verified plan, or why it has none; and so each isolated account in it, by its title.

    A plan takes nothing of another account: what stands alone is closed and seized alone.
    """

    found: tuple[Account, Plan] | PortfolioError
    isolated: Mapping[str, Planned] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all of them have a plan."""
        return not isinstance(self.found, PortfolioError) and all(each.is_whole for each in self.isolated.values())


def plans(profile: Profile, content: object, name: str) -> Iterator[Planned]:
    """Each account's plan; one that cannot be evaluated stops no other.

    `name` is for one account that has none. Raises PortfolioError where the file as a whole cannot be read.
    """
    terms, setting, refuse_unknown = terms_of(content), _setting(profile, content), unknown_refused(content)

    def planned(part: object, account_name: str) -> Planned:
        try:
            account = read_account(setting, part, account_name)
            plan = plan_liquidation(account, terms)
            verify(plan, account, terms)
        except PortfolioError as error:
            return Planned(error)
        return Planned((account, plan))

    for account_name, account in accounts(content, name):
        try:
            refuse_unknown(account, account_name)
            main, isolated = _split(profile, account, account_name)
        except PortfolioError as error:
            yield Planned(error)
            continue
        alone = {title: planned(each, isolated_name(account_name, title)) for title, each in isolated.items()}
        yield replace(planned(main, account_name), isolated=alone)


def answers(
    profile: Profile, content: object, name: str
) -> Iterator[tuple[Account, tuple[Step, ...]] | PortfolioError]:
    """Each account's steps for what the file asks, of it and of the isolated accounts in it; as plans() otherwise."""
    asked = Fields.of(content, "").entries("what_if", most=MOST_STEPS)
    setting, refuse_unknown = _setting(profile, content), unknown_refused(content)
    for account_name, account in accounts(content, name):
        try:
            refuse_unknown(account, account_name)
            main, isolated = _split(profile, account, account_name)
            family = Family(read_account(setting, main, account_name), isolated)
            yield family.main, what_if(family, asked)
        except PortfolioError as error:
            yield error


def terms_of(content: object) -> Terms:
    """The file's terms, which for an asset without its own reckon with the market's `vol` and `depth`."""
    file = Fields.of(content, "")
    return read_terms(file.section("plan"), file.section("market"))


def _setting(profile: Profile, content: object) -> Setting:
    file = Fields.of(content, "")
    return Setting.of(profile, market_of(content), file.section("parameters"))


def _split(profile: Profile, content: object, name: str) -> tuple[object, Mapping[str, object]]:
    """An account without the isolated accounts in it, and those by their titles."""
    return (content, {}) if profile.apart is None else profile.apart(content, name)

"""An account of a file, in whichever form the file is."""

from __future__ import annotations

from node.margin.models.derive_pm2.vectors import is_vector
from node.margin.models.fields import Fields
from node.margin.models.profile import Profile
from node.margin.planning.account import Account, Form
from node.margin.planning.pmrm_form import PmrmForm
from node.margin.planning.portfolio_form import PortfolioForm


def read_account(profile: Profile, content: object, name: str, market: Fields, parameters: Fields) -> Account:
    """Raises PortfolioError, which names account, instrument and field."""
    form: Form = PmrmForm() if is_vector(content) else PortfolioForm()
    return Account.read(form, profile, content, name, market, parameters)

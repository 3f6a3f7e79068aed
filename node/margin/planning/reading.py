"""An account of a file, in whichever form the file is."""

from __future__ import annotations

from node.margin.models.derive_pm1 import is_file
from node.margin.models.derive_pm2.vectors import is_vector
from node.margin.planning.account import Account, Form, Setting
from node.margin.planning.pm1_form import Pm1Form
from node.margin.planning.pmrm_form import PmrmForm
from node.margin.planning.portfolio_form import PortfolioForm


def read_account(setting: Setting, content: object, name: str) -> Account:
    """Raises PortfolioError, which names account, instrument and field."""
    form: Form = Pm1Form() if is_file(content) else PmrmForm() if is_vector(content) else PortfolioForm()
    return Account.read(form, setting, content, name)

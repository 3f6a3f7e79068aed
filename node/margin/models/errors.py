"""What is wrong with a portfolio, a market or parameters that somebody handed in."""

from __future__ import annotations

from chains.errors import InputError

_LONGEST = 120
_MOST_BITS = 512


def _bounded(value: object) -> object:
    """A value as it was, or what it is if it is long: one is said again for each account that it stops."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}… ({len(value)} characters)"
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return value


class PortfolioError(InputError):
    """One field of one account cannot be used. It names them, so that other accounts go on and this one is mended."""

    reason = "PORTFOLIO_INVALID"

    def __init__(self, message: str, *, account: str, instrument: str = "", field: str = "", **values: object) -> None:
        named = {"account": account, "instrument": instrument, "field": field}
        given = {**{name: value for name, value in named.items() if value}, **values}
        super().__init__(message, **{name: _bounded(value) for name, value in given.items()})
        self.account, self.instrument, self.field = account, instrument, field


class MissingField(PortfolioError):
    """A field, section or feed that the rules need is absent."""

    reason = "PORTFOLIO_INCOMPLETE"


class UnknownName(PortfolioError):
    """A field that nothing reads, most likely misspelt: left alone, what it says would silently not count."""

    reason = "PORTFOLIO_UNKNOWN_NAME"


class OutOfRange(PortfolioError):
    """A number is not finite, negative where it may not be, or absurdly large."""

    reason = "PORTFOLIO_OUT_OF_RANGE"


class UnknownAsset(PortfolioError):
    """The market or the parameters do not name an asset or instrument that is held."""

    reason = "PORTFOLIO_UNKNOWN_ASSET"


class ExpiredInstrument(PortfolioError):
    """An instrument's expiry lies in the past: settle it first."""

    reason = "PORTFOLIO_EXPIRED"


class CrossedSurface(PortfolioError):
    """Volatilities under which options allow arbitrage. Its values say at which `expiry` (seconds) and `strike`."""

    reason = "PORTFOLIO_SURFACE_CROSSED"


class DuplicateInstrument(PortfolioError):
    """An account holds one instrument twice: sum it up first, for size counts."""

    reason = "PORTFOLIO_DUPLICATE"


class UnsupportedInstrument(PortfolioError):
    """The model has no rule for an instrument that the account holds: left out, it would be counted as nothing."""

    reason = "PORTFOLIO_UNSUPPORTED"

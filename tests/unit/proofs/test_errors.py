import pickle
import re

import grpc
import pytest

import chains.errors
from chains.errors import ClaimMismatch, HypothecError

TREE = [kind for kind in vars(chains.errors).values() if isinstance(kind, type) and issubclass(kind, HypothecError)]


@pytest.mark.parametrize("kind", TREE)
def test_each_error_has_a_reason_and_the_name_of_a_grpc_status(kind: type[HypothecError]) -> None:
    assert re.fullmatch(r"[A-Z][A-Z_]+", kind.reason)
    assert kind.status in grpc.StatusCode.__members__
    assert chains.errors.__doc__ is not None
    assert re.search(rf"\b{kind.__name__} +{kind.status}\b", chains.errors.__doc__)


def test_reasons_are_told_apart() -> None:
    reasons = [kind.reason for kind in TREE if "reason" in vars(kind)]
    assert len(reasons) == len(set(reasons)) == len(TREE)


def test_an_error_shows_its_values_and_keeps_them_as_they_were() -> None:
    error = ClaimMismatch("claimed balance is not the proven one", claimed=1, proven=b"\xab" * 100)
    assert str(error).startswith("claimed balance is not the proven one (claimed=1, proven=0xabab")
    assert len(str(error)) < 200
    assert error.values == {"claimed": 1, "proven": b"\xab" * 100}
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own

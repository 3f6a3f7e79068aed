"""The fuzz's targets accept what is honest, stand a few blind changes, and would show what is false."""

import random

import pytest

from chains.errors import ProofError
from chains.proofs.eip1186 import Account
from chains.proofs.mpt import EMPTY_ROOT
from tools.fuzz.target import LARGEST, Fault, Target
from tools.fuzz.targets import TARGETS

SEEDS = 4


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]()


def test_a_target_accepts_the_honest_of_its_own_inputs(target: Target) -> None:
    assert all(map(target.accepts, target.seeds))
    assert not any(map(target.accepts, target.refused))
    assert max(map(len, target.seeds)) <= LARGEST


def test_a_target_has_no_fault_under_blind_changes(target: Target) -> None:
    chance = random.Random(7)
    for data in (*target.seeds[:SEEDS], *target.refused):
        for _ in range(10):
            changed = bytearray(data)
            for _ in range(chance.choice((1, 2, 8))):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            target.accepts(bytes(changed))
            target.accepts(bytes(changed[: chance.randrange(len(changed))]))


@pytest.mark.parametrize("raised", [Fault("false accept"), IndexError(), RecursionError()])
def test_what_is_no_documented_refusal_shows(raised: Exception) -> None:
    def check(data: bytes) -> None:
        raise raised if data else ProofError("refused")

    target = Target((b"",), check, (ProofError,))
    assert not target.accepts(b"")
    with pytest.raises(type(raised)):
        target.accepts(b"a")


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("account", "chains.proofs.eip1186.decode_account"),
        ("map-proof", "node.model.merkle.MapProof.check"),
        ("packed-signatures", "tools.fuzz.verifiers.verify_packed"),
        ("mpt", "tools.fuzz.verifiers.mpt.lookup"),
    ],
)
def test_a_broken_verifier_shows(name: str, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lie = Account(1, 2, EMPTY_ROOT, EMPTY_ROOT)
    monkeypatch.setattr(broken, lambda *_args, **_kwargs: lie)
    target = TARGETS[name]()
    lies = (data[:-1] + bytes((data[-1] ^ 1,)) for data in target.seeds)
    with pytest.raises(Fault):
        any(map(target.accepts, lies))

from __future__ import annotations

import asyncio

import pytest

from chains.errors import ConfigError, ProofError, ProofInvalid, RetryError
from chains.evm.endpoint import Endpoint
from chains.evm.errors import HttpFailure, MissingLog, ProofWindow, WrongBlock
from chains.evm.pool import EndpointPool, Quarantine
from chains.types import ChainId, EndpointFault, Height


class Named(Endpoint):
    """An endpoint that is never spoken to."""

    def __init__(self, name: str) -> None:
        self.name = name


class Table:
    """A pool of three, its clock, and what its sink heard."""

    def __init__(self) -> None:
        self.now = 0.0
        self.faults: list[EndpointFault] = []
        self.a, self.b, self.c = self.all = [Named(name) for name in "abc"]
        quarantine = Quarantine(failure=1, lie=30, longest=100)
        self.pool = EndpointPool(
            ChainId(7), self.all, self.faults.append, lambda: self.now, quarantine, hedge_after=0.01
        )

    def order(self) -> str:
        good, aside = self.pool.ranked()
        return "".join(each.name for each in good) + "|" + "".join(each.name for each in aside)


class Answers:
    """A question that each endpoint answers as scripted: an error is raised."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, endpoint: Endpoint) -> object:
        self.asked.append(endpoint.name)
        answer = self.answers[endpoint.name]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_first_answer_that_verifies_is_taken() -> None:
    table = Table()
    question = Answers(a=WrongBlock("x"), b=42, c=43)
    assert await table.pool.ask(question) == 42
    assert question.asked == ["a", "b"]
    assert [(fault.chain_id, fault.endpoint, fault.reason) for fault in table.faults] == [(7, "a", "WRONG_BLOCK")]
    assert table.order() == "bc|a"


async def test_nobody_is_blamed_for_what_is_excused_and_the_next_is_asked_all_the_same() -> None:
    table = Table()
    question = Answers(a=ProofWindow("x"), b=ProofWindow("x"), c=42)
    assert await table.pool.ask(question, (RetryError,)) == 42
    with pytest.raises(ProofWindow):
        await table.pool.ask(Answers(a=ProofWindow("x"), b=ProofWindow("x"), c=ProofWindow("x")), (RetryError,))
    assert await table.pool.ask_all([table.a], Answers(a=ProofWindow("x")), (RetryError,)) == {}
    assert (table.order(), table.faults) == ("abc|", [])
    assert await table.pool.ask(Answers(a=WrongBlock("x"), b=1), (RetryError,)) == 1, "a lie is none of it"
    assert [(fault.endpoint, fault.reason) for fault in table.faults] == [("a", "WRONG_BLOCK")]


async def test_one_that_is_set_aside_is_asked_last_and_comes_back() -> None:
    table = Table()
    await table.pool.ask(Answers(a=HttpFailure("x"), b=1, c=1))
    question = Answers(a=1, b=HttpFailure("x"), c=HttpFailure("x"))
    assert await table.pool.ask(question) == 1
    assert question.asked == ["b", "c", "a"]
    table.now = 1.0
    assert table.order() == "abc|"


async def test_quarantine_doubles_to_its_bound_and_failures_are_forgiven() -> None:
    table = Table()
    spans = []
    for _ in range(9):
        table.pool.report(table.a, HttpFailure("x"))
        start = table.now
        while table.order() != "abc|":
            table.now += 1.0
        spans.append(table.now - start)
    assert spans == [1, 2, 4, 8, 16, 32, 64, 100, 100]
    await table.pool.ask(Answers(a=1))
    table.pool.report(table.a, HttpFailure("x"))
    table.now += 1.0
    assert table.order() == "abc|"


async def test_lies_cost_more_and_are_not_forgotten() -> None:
    table = Table()
    table.pool.report(table.a, MissingLog("x"))
    table.now += 29.0
    assert table.order() == "bc|a"
    table.now += 1.0
    assert await table.pool.ask(Answers(a=1)) == 1
    table.pool.report(table.a, MissingLog("x"))
    table.now += 59.0
    assert table.order() == "bc|a"


async def test_a_failure_does_not_shorten_the_quarantine_of_a_lie() -> None:
    table = Table()
    table.pool.report(table.a, MissingLog("x"))
    table.pool.report(table.a, HttpFailure("x"))
    table.now += 2.0
    assert table.order() == "bc|a"


async def test_the_sink_hears_once_while_the_endpoint_is_set_aside_for_it() -> None:
    table = Table()
    for _ in range(3):
        table.pool.report(table.a, MissingLog("x"))
    table.pool.report(table.a, HttpFailure("x"))
    table.now += 1000.0
    table.pool.report(table.a, HttpFailure("x"))
    assert [fault.reason for fault in table.faults] == ["MISSING_LOG", "HTTP_ERROR", "HTTP_ERROR"]


async def test_if_all_lie_the_error_is_a_lie_and_if_any_fails_it_is_to_retry() -> None:
    with pytest.raises(ProofError):
        await Table().pool.ask(Answers(a=ProofInvalid("x"), b=WrongBlock("x"), c=MissingLog("x")))
    with pytest.raises(RetryError):
        await Table().pool.ask(Answers(a=ProofInvalid("x"), b=HttpFailure("x"), c=MissingLog("x")))


async def test_what_is_not_an_endpoints_fault_goes_up_at_once() -> None:
    table = Table()
    question = Answers(a=ConfigError("x"), b=1)
    with pytest.raises(ConfigError):
        await table.pool.ask(question)
    assert question.asked == ["a"]
    assert not table.faults
    with pytest.raises(ZeroDivisionError):
        await table.pool.ask_all(table.all, Answers(a=1, b=ZeroDivisionError(), c=1))


async def test_all_are_asked_and_those_that_fail_are_left_out() -> None:
    table = Table()
    answers = await table.pool.ask_all(table.all, Answers(a=1, b=ProofInvalid("x"), c=3))
    assert answers == {table.a: 1, table.c: 3}
    assert [(fault.endpoint, fault.reason) for fault in table.faults] == [("b", "BAD_PROOF")]


async def test_the_fastest_comes_first() -> None:
    table = Table()

    async def slow_unless_c(endpoint: Endpoint) -> int:
        table.now += 0.0 if endpoint.name == "c" else 0.5
        return 1

    for endpoint in table.all:
        await table.pool.ask_all([endpoint], slow_unless_c)
    assert table.order() == "cab|"


async def test_a_weight_outweighs_so_much_latency_and_no_fault() -> None:
    table = Table()
    pool = EndpointPool(ChainId(7), table.all, table.faults.append, lambda: table.now, weights={table.c: 3.0})

    async def takes(seconds: float) -> None:
        table.now += seconds

    for endpoint, seconds in zip(table.all, (1.0, 2.0, 2.0), strict=True):
        await pool.ask_all([endpoint], lambda _, seconds=seconds: takes(seconds))  # type: ignore[misc]
    assert [each.name for each in pool.ranked()[0]] == ["c", "a", "b"]
    pool.report(table.c, HttpFailure("x"))
    assert [each.name for each in pool.ranked()[0]] == ["a", "b"]


def test_no_endpoint_is_no_pool() -> None:
    with pytest.raises(ConfigError):
        EndpointPool(ChainId(1), [], lambda fault: None, lambda: 0.0)


class Late(Answers):
    """The same, but some never answer by themselves; who was overtaken is in `overtaken`."""

    def __init__(self, *never: str, **answers: object) -> None:
        super().__init__(**answers)
        self.never = never
        self.overtaken: list[str] = []

    async def __call__(self, endpoint: Endpoint) -> object:
        if endpoint.name not in self.never:
            return await super().__call__(endpoint)
        self.asked.append(endpoint.name)
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.overtaken.append(endpoint.name)
            raise


async def test_one_that_is_late_is_not_waited_for_alone() -> None:
    table = Table()
    question = Late("a", b=2, c=3)
    assert await table.pool.ask(question) == 2
    assert question.asked == ["a", "b"]
    assert question.overtaken == ["a"]
    assert not table.faults, "to be slow is no fault"


async def test_who_was_overtaken_is_asked_later_the_next_time() -> None:
    table = Table()

    async def question(endpoint: Endpoint) -> float:
        if endpoint.name == "a":
            try:
                await asyncio.Event().wait()
            finally:
                table.now += 1.0
        return table.now

    await table.pool.ask(question)
    assert table.order() == "bca|"


async def test_two_are_asked_at_once_and_never_more() -> None:
    table = Table()
    question = Late("a", b=WrongBlock("x"), c=3)
    assert await table.pool.ask(question) == 3
    assert question.asked == ["a", "b", "c"]
    stuck = Late("a", "b", "c")
    asked = asyncio.create_task(Table().pool.ask(stuck))
    await asyncio.sleep(0.1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert sorted(stuck.asked) == sorted(stuck.overtaken) == ["a", "b"]


async def test_nobody_is_asked_in_vain_while_the_first_is_in_time() -> None:
    table = Table()
    question = Answers(a=1, b=2, c=3)
    assert await table.pool.ask(question) == 1
    assert question.asked == ["a"]


def test_a_standing_says_what_an_endpoint_did_and_how_long_it_is_set_aside() -> None:
    table = Table()
    table.pool.report(table.a, MissingLog("x"))
    table.pool.report(table.b, HttpFailure("x"))
    table.now = 10.0
    a, b, c = table.pool.standings()
    assert (a.name, a.trusted, a.lies, a.failures, a.seconds_aside, a.reason) == ("a", False, 1, 0, 20.0, "MISSING_LOG")
    assert (b.name, b.trusted, b.lies, b.failures, b.seconds_aside, b.reason) == ("b", True, 0, 1, 0.0, "HTTP_ERROR")
    assert (c.name, c.trusted, c.reason, c.height, c.lag) == ("c", True, "", None, None)


def test_what_lags_comes_last_however_fast_until_what_it_said_is_old() -> None:
    table = Table()
    table.pool.agreed(Height(10))
    for endpoint, final in zip(table.all, (9, 10, 11), strict=True):
        table.pool.heard(endpoint, Height(final))
    assert table.order() == "bca|"
    assert [each.lag for each in table.pool.standings()] == [1, 0, 0]
    table.now = 60.0
    assert table.order() == "abc|"
    assert [each.lag for each in table.pool.standings()] == [None, None, None]

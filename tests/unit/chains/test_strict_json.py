from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.strict_json import MAX_DEPTH, MAX_VALUES, parse

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{}é,:', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='["\\', max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_what_json_writes_is_read_back(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert parse(text.encode()) == value


@given(st.binary(max_size=60) | st.text(alphabet='[]{}":,\\ 1a', max_size=40).map(str.encode))
def test_it_takes_nothing_that_json_does_not(text: bytes) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    assert value == json.loads(text)


def test_depth_is_bounded_exactly() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(ValueError, match="deep"):
        parse(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "text", [b"[" + b"1," * MAX_VALUES + b"1]", b"[" + b"[]," * MAX_VALUES + b"1]", b"{" * 9_000_000]
)
def test_values_are_bounded(text: bytes) -> None:
    with pytest.raises(ValueError, match="values"):
        parse(text)


@pytest.mark.parametrize("text", [b"[]]", b"]", b"{}}[", b"[}", b'{"a": [}]', b'"]"]'])
def test_brackets_that_do_not_match_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@pytest.mark.parametrize("text", [b"[" * 1_000_000, b'{"a":' * 1_000_000, b"[" * 500_000 + b"]" * 500_000])
def test_brackets_cannot_exhaust_the_stack(text: bytes) -> None:
    import web3  # noqa: F401 - what raises the recursion limit

    with pytest.raises(ValueError, match="deep"):
        parse(text)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_no_other_encoding_hides_brackets(encoding: str) -> None:
    # The letter has the byte of a quotation mark; between two of them lies what would not be counted.
    text = '["\u0122",' + "[" * 200 + "]" * 200 + ',"\u0122"]'
    for hostile in (text, "[1]"):
        with pytest.raises(ValueError, match=r"."):
            parse(hostile.encode(encoding))


@pytest.mark.parametrize(
    "text", [b'"' + b'\\"' * 5_000_000, b'"a' * 4_000_001, b"[" + b"[]," * 300_000, b"[" + b'"",' * 1_000_000]
)
def test_long_nonsense_takes_linear_time(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b"", b"\xff", b"1" * 5000, b'"a', b"[] []"])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_a_name_may_be_once_where_that_is_asked() -> None:
    twice = b'{"a": {"b": 1, "b": 2}}'
    assert parse(twice) == {"a": {"b": 2}}
    assert parse(b'{"a": {"b": 1}, "b": 2}', unique=True) == {"a": {"b": 1}, "b": 2}
    with pytest.raises(ValueError, match="'b' twice"):
        parse(twice, unique=True)

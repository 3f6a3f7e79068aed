import pytest

from chains.errors import MalformedProof, OversizedProof
from chains.proofs import parse


@pytest.mark.parametrize("value", ["0x", "0x00", "0xAbCd", "0x" + "ff" * 50])
def test_data_is_taken_in_any_letter_case(value: str) -> None:
    assert parse.data(value, "field", most=50) == bytes.fromhex(value[2:])


@pytest.mark.parametrize(
    "value", ["", "0", "00", "0X00", "0x0", "0x0g", "0x11 22", "0x1122 ", "0x 1122", "0x\n1122", "0x１１"]
)
def test_data_in_another_form_is_refused(value: str) -> None:
    with pytest.raises(MalformedProof, match="field"):
        parse.data(value, "field", most=50)


def test_data_is_bounded_before_it_is_decoded() -> None:
    with pytest.raises(OversizedProof, match="field"):
        parse.data("0x" + "zz" * 51, "field", most=50)
    with pytest.raises(MalformedProof, match="length"):
        parse.data("0x1122", "field", most=50, size=3)


@pytest.mark.parametrize(
    ("value", "number"), [("0x0", 0), ("0x00", 0), ("0x0f", 15), ("0xF", 15), ("0x" + "f" * 64, 2**256 - 1)]
)
def test_quantities_are_taken_with_and_without_leading_zeros(value: str, number: int) -> None:
    assert parse.quantity(value, "field") == number


@pytest.mark.parametrize(
    "value", [None, 1, True, "", "1", "0x", "-0x1", "0x-1", "0x+1", "0x1_0", " 0x1", "0x1 ", "0x1\n", "0x１"]
)
def test_quantities_in_another_form_are_refused(value: object) -> None:
    with pytest.raises(MalformedProof, match="field"):
        parse.quantity(value, "field")


def test_quantities_are_bounded() -> None:
    assert parse.quantity("0xff", "field", bits=8) == 255
    with pytest.raises(OversizedProof, match="field"):
        parse.quantity("0x100", "field", bits=8)
    with pytest.raises(MalformedProof, match="field"):
        parse.quantity("0x" + "0" * 65, "field")


def test_slots_are_32_bytes() -> None:
    assert parse.slot("0x5", "key") == (5).to_bytes(32)
    assert parse.slot("0x" + "00" * 31 + "05", "key") == (5).to_bytes(32)


def test_lists_are_bounded() -> None:
    assert parse.sequence([1, 2], "list", 2) == [1, 2]
    with pytest.raises(OversizedProof, match="list"):
        parse.sequence([1, 2, 3], "list", 2)
    with pytest.raises(OversizedProof, match=r"proof\[1\]"):
        parse.nodes(["0x11", "0x1111"], "proof", 2, 1)


def test_proofs_that_begin_alike_are_read_as_each_by_itself() -> None:
    proofs: list[list[object]] = [
        ["0x01", "0x02", "0x03"],
        ["0x01", "0x02", "0x04"],
        ["0x01", "0x02"],
        ["0x05", "0x02", "0x03"],
        [],
        ["0x05"],
        ["0x05"],
    ]
    several = parse.Nodes(65, 32)
    for proof in proofs:
        assert several.next(proof, "proof") == parse.nodes(proof, "proof", 65, 32)
    for wrong, error in (
        (["0x05", "0x0"], MalformedProof),
        (["0x05", 5], MalformedProof),
        (["0x05", None], MalformedProof),
        ("0x05", MalformedProof),
        (["0x05", "0x" + "00" * 33], OversizedProof),
        (["0x05"] * 66, OversizedProof),
    ):
        with pytest.raises(error):
            several.next(wrong, "proof")
    assert several.next(["0x05", "0x06"], "proof") == [b"\x05", b"\x06"]

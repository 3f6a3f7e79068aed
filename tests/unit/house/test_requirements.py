"""A machine may lack shared data or a tool: tests are skipped there, and fail under CI."""

from pathlib import Path

import pytest

from tests.shared import MissingRequirement, shared, unavailable
from tests.tools import anvil_binary

EITHER = (MissingRequirement, pytest.skip.Exception)  # a skip that nobody catches would skip the test that forbids it


@pytest.fixture
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")


@pytest.mark.usefixtures("no_ci")
def test_without_ci_a_missing_requirement_skips_and_says_what_is_missing() -> None:
    with pytest.raises(pytest.skip.Exception, match="no such tool"):
        unavailable("no such tool")


@pytest.mark.usefixtures("ci")
def test_under_ci_a_missing_requirement_is_an_error() -> None:
    with pytest.raises(EITHER, match="no such tool") as caught:
        unavailable("no such tool")
    assert caught.type is MissingRequirement


def test_ci_false_is_not_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception):
        unavailable("no such tool")


def test_shared_data_is_found_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "vectors").mkdir()
    monkeypatch.setenv("HYPOTHEC_SHARED", str(tmp_path))
    assert shared("vectors") == tmp_path / "vectors"


@pytest.mark.usefixtures("no_ci")
def test_no_shared_folder_skips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYPOTHEC_SHARED", str(tmp_path / "absent"))
    with pytest.raises(pytest.skip.Exception, match="HYPOTHEC_SHARED"):
        shared("vectors")


@pytest.mark.usefixtures("no_ci")
def test_a_name_that_the_shared_folder_does_not_have_never_skips(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HYPOTHEC_SHARED", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="vectrs"):
        shared("vectrs")


@pytest.mark.usefixtures("ci")
def test_no_anvil_under_ci_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(EITHER, match=r"\./run setup") as caught:
        anvil_binary(tmp_path)
    assert caught.type is MissingRequirement

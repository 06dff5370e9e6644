"""A failing command says one sentence with the remedy, has a JSON twin, and ends with a documented code."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
import typer
from idv.errors import FieldViolation, IdvError, Reason

from services.cli.exit_codes import ExitCode
from services.cli.failure import NotAsPromisedError, exit_code, reported, sentence, unavailable, usage
from services.local.errors import LocalError
from tests.cli_run import idv


@pytest.mark.parametrize(
    ("reason", "remote", "code"),
    [
        (Reason.ERROR_REASON_ITEM_NOT_REQUESTED, True, ExitCode.REFUSED),
        (Reason.ERROR_REASON_NOT_FOUND, True, ExitCode.REFUSED),
        (Reason.ERROR_REASON_WRONG_TENANT, True, ExitCode.REFUSED),
        (Reason.ERROR_REASON_INVALID_ARGUMENT, True, ExitCode.REFUSED),
        (Reason.ERROR_REASON_INVALID_ARGUMENT, False, ExitCode.USAGE),
        (Reason.ERROR_REASON_UNAVAILABLE, True, ExitCode.UNAVAILABLE),
        (Reason.ERROR_REASON_OVERLOADED, True, ExitCode.UNAVAILABLE),
        (Reason.ERROR_REASON_DEADLINE_EXCEEDED, True, ExitCode.UNAVAILABLE),
        (Reason.ERROR_REASON_INTERNAL, True, ExitCode.UNAVAILABLE),
    ],
)
def test_exit_code_tells_refusal_usage_and_absence_apart(
    reason: Reason.ValueType, remote: bool, code: ExitCode
) -> None:
    assert exit_code(IdvError(reason, "it failed", remote=remote)) == code


def test_every_reason_has_an_exit_code_that_is_not_success() -> None:
    for reason in Reason.values():
        code = exit_code(IdvError(reason, "it failed", remote=True))
        assert code in (
            ExitCode.REFUSED,
            ExitCode.UNAVAILABLE,
        )


def test_sentence_joins_what_happened_and_what_to_do() -> None:
    assert sentence("The session is closed.", "Open a new one.") == "The session is closed; open a new one."
    assert sentence("it failed", None) == "it failed."


def test_sentence_stays_one_line_even_where_a_log_is_quoted() -> None:
    assert sentence("it ended:\n  first\n  last", "Read it.") == "it ended: first last; read it."


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (usage("this is wrong", "do that"), 2, "wrong usage: this is wrong; do that."),
        (unavailable("it is away", "start it"), 3, "unavailable: it is away; start it."),
        (NotAsPromisedError("it is still there"), 4, "not as promised: it is still there."),
        (
            LocalError("It does not start.", "Read its log."),
            3,
            "unavailable: It does not start; read its log.",
        ),
        (
            FileNotFoundError(2, "No such file", "x.json"),
            2,
            "x.json cannot be used (No such file)",
        ),
    ],
)
def test_expected_failures_become_one_sentence_and_their_code(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end, reported(as_json=False):
        raise error
    assert end.value.exit_code == code
    assert words in capsys.readouterr().err


def test_unforeseen_failure_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), reported(as_json=False):
        raise ZeroDivisionError


def test_refusal_of_several_fields_names_each(capsys: pytest.CaptureFixture[str]) -> None:
    violations = [FieldViolation("items[0]", "is unknown"), FieldViolation("subject", "is empty")]
    error = IdvError(Reason.ERROR_REASON_INVALID_ARGUMENT, "two faults", violations=violations, remote=True)
    with pytest.raises(typer.Exit), reported(as_json=False):
        raise error
    told = capsys.readouterr().err
    assert "items[0]: is unknown" in told
    assert "subject: is empty" in told
    assert "[INVALID_ARGUMENT]" in told


def test_remote_error_without_remedy_gets_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), reported(as_json=False):
        raise IdvError.from_rpc(_Refused())
    assert "idv doctor" in capsys.readouterr().err


class _Refused(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


def test_missing_ready_file_says_how_to_start_a_stack(tmp_path: Path) -> None:
    ended = idv("notice", "terms", "--connect", str(tmp_path / "ready.json"))
    assert ended.code == 3
    assert "idv up" in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""


def test_failure_has_a_json_twin(tmp_path: Path) -> None:
    ended = idv("log", "checkpoint", "--json", "--connect", str(tmp_path / "ready.json"))
    assert ended.code == 3
    assert ended.json["error"]["exit_code"] == 3
    assert ended.json["error"]["outcome"] == "unavailable"
    assert "idv up" in ended.json["error"]["remedy"]

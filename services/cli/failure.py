"""How a command fails: one sentence with the remedy on standard error, its JSON twin, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
import typer
from idv.errors import IdvError, Reason
from rich.text import Text

from services.cli.exit_codes import EXIT_CODES, ExitCode
from services.cli.output import errors_console
from services.local.errors import LocalError

_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.CANCELLED,
    }
)


class NotAsPromisedError(Exception):
    """Something was checked and is not as the suite promises. The message says what."""


def usage(message: str, remedy: str, field: str | None = None) -> IdvError:
    """What the user gave cannot be used."""
    return IdvError(Reason.ERROR_REASON_INVALID_ARGUMENT, message, remedy=remedy, field=field)


def unavailable(message: str, remedy: str) -> IdvError:
    """What the command needs is away."""
    return IdvError(Reason.ERROR_REASON_UNAVAILABLE, message, remedy=remedy)


def broken(message: str) -> IdvError:
    """Something was checked and is not as promised."""
    return IdvError(Reason.ERROR_REASON_UNSPECIFIED, message)


def exit_code(error: IdvError) -> ExitCode:
    """The exit code of a refusal or failure."""
    if error.code in _AWAY:
        return ExitCode.UNAVAILABLE
    if error.reason == Reason.ERROR_REASON_INVALID_ARGUMENT and not error.remote:
        return ExitCode.USAGE
    return ExitCode.REFUSED


_REMEDIES = {
    Reason.ERROR_REASON_UNAVAILABLE: "check with `idv doctor` whether the suite runs",
    Reason.ERROR_REASON_UNAUTHENTICATED: "act as somebody known here, with --as",
    Reason.ERROR_REASON_PERMISSION_DENIED: "act as somebody who may, with --as",
    Reason.ERROR_REASON_DEADLINE_EXCEEDED: "try again; a repeated request id changes nothing",
    Reason.ERROR_REASON_INTERNAL: "look into the service's log under this trace",
    Reason.ERROR_REASON_NOT_SERVED: "use a release that serves it",
}
"""What to do where the error itself does not say."""


def sentence(message: str, remedy: str | None) -> str:
    """One sentence: what happened, then what to do."""
    what = " ".join(message.split()).rstrip(".")
    todo = " ".join((remedy or "").split()).rstrip(".")
    return f"{what}; {todo[:1].lower()}{todo[1:]}." if todo else f"{what}."


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Turns every expected failure inside into its sentence and `typer.Exit`.

    What nobody foresaw passes through.
    """
    try:
        yield
    except IdvError as error:
        _end(as_json, exit_code(error), error)
    except grpc.RpcError as error:
        known = IdvError.from_rpc(error)
        _end(as_json, exit_code(known), known)
    except LocalError as error:
        known = unavailable(error.message, error.remedy)
        _end(as_json, ExitCode.UNAVAILABLE, known)
    except NotAsPromisedError as error:
        _end(as_json, ExitCode.NOT_AS_PROMISED, broken(str(error)))
    except OSError as error:
        if error.filename is None:
            raise
        fault = f"{error.filename} cannot be used ({error.strerror or type(error).__name__})"
        _end(as_json, ExitCode.USAGE, usage(fault, "name a file or folder that this account may use"))


def end(code: ExitCode, error: IdvError) -> NoReturn:
    """Says the sentence on standard error and ends: for a command that has printed its answer, a bad one."""
    text = Text.assemble((f"{EXIT_CODES[code]}: ", "bold red"), sentence(error.message, _remedy(error)))
    if error.remote and error.reason:
        text.append(f" [{error.reason_name}]", "dim")
    if len(error.violations) > 1:
        for violation in error.violations:
            text.append(f"\n  {violation.field}: {violation.description}")
    errors_console().print(text, soft_wrap=True)
    raise typer.Exit(int(code))


def as_plain(error: IdvError, code: ExitCode) -> dict[str, Any]:
    """The JSON twin of a failure."""
    return {
        "error": {
            "exit_code": int(code),
            "outcome": EXIT_CODES[code],
            "reason": error.reason_name,
            "message": error.message,
            "remedy": _remedy(error),
            "violations": [violation._asdict() for violation in error.violations],
            "metadata": error.metadata,
            "retry_after_seconds": error.retry_after,
        }
    }


def _remedy(error: IdvError) -> str | None:
    return error.remedy or _REMEDIES.get(error.reason)


def _end(as_json: bool, code: ExitCode, error: IdvError) -> NoReturn:
    if as_json:
        print(json.dumps(as_plain(error, code), indent=2, ensure_ascii=False))
    end(code, error)

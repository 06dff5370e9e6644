"""How the notice service refuses: domain rules in the words and reasons of the contract."""

from __future__ import annotations

from idv.errors import FieldViolation, IdvError, Reason

from services.notice.faults import InvalidNoticeError
from services.notice.lifecycle import State

_FAULT_BYTES = 4000  # an error travels in a trailer, and trailers are small


def wrong_state(number: int, state: State, rule: str, remedy: str) -> IdvError:
    """The refusal of an act that a version's state does not allow."""
    return IdvError(
        Reason.ERROR_REASON_WRONG_STATE,
        f"notices/{number} is {state.name}: {rule}",
        remedy=remedy,
        metadata={"notice": f"notices/{number}", "state": state.name},
    )


def untold() -> IdvError:
    """The refusal of a material version where nobody can be told of it."""
    return IdvError(
        Reason.ERROR_REASON_NOTICE_MATERIAL,
        "every Customer must be told of a material change, and this deployment sends no notices",
        remedy="give the notice service the settings `mail` and `delivery`",
    )


def reused() -> IdvError:
    """The refusal of a request id that was used for something else."""
    return IdvError(
        Reason.ERROR_REASON_REQUEST_ID_REUSED,
        "the request id was used before with other content",
        field="request_id",
        remedy="choose a new UUID for a new request",
    )


def offboarded(tenant: str) -> IdvError:
    """The refusal of whatever would change or reach a Customer that is gone."""
    return IdvError(
        Reason.ERROR_REASON_CUSTOMER_OFFBOARDED,
        f"customers/{tenant} was off-boarded: its contacts are removed, and it is changed no more",
        remedy="register the Customer anew, under another id",
    )


def state_of_another() -> IdvError:
    """The refusal of a state that is not the caller's to set."""
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        "a Customer is activated by the officer, and off-boarded by the retention service alone",
        field="state",
        remedy="off-board with OffboardCustomer of the retention service",
    )


def not_found(number: int | None) -> IdvError:
    """The refusal for a version that is not there; None: none was in force."""
    if number is None:
        message, remedy = "no version was in force then", "ask for another instant"
    else:
        message, remedy = f"there is no notices/{number}", "list the notices"
    return IdvError(Reason.ERROR_REASON_NOT_FOUND, message, remedy=remedy)


def invalid(error: InvalidNoticeError) -> IdvError:
    """The faults of a notice as an error that travels: as many as a trailer holds, and how many there are."""
    violations: list[FieldViolation] = []
    room = _FAULT_BYTES
    for fault in error.faults:
        place = fault.file if fault.line is None else f"{fault.file}:{fault.line}"
        violation = FieldViolation(f"{place} {fault.field}".strip(), f"{fault.reason}. {fault.remedy}.")
        room -= len(str(violation).encode("utf-8", "replace"))
        if violations and room < 0:
            break
        violations.append(violation)
    count = len(error.faults)
    return IdvError(
        Reason.ERROR_REASON_NOTICE_INVALID,
        f"the notice has {count} fault{'' if count == 1 else 's'}",
        remedy="correct each; docs/notices.md describes the form",
        metadata={"faults": str(count)},
        violations=violations,
    )

"""The access rule of each method, read from the contract; whatever it does not allow is denied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from idv.errors import IdvError, Reason
from idv.types.v1 import access_pb2

from services.runtime.identity import Caller, CallerKind
from services.runtime.resources import owner_of
from services.runtime.start_error import StartError


class MissingRuleError(StartError):
    """Methods without a usable access rule: the server must not start."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("methods have no usable access rule", faults)


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Who may call one method, see `idv.types.v1.AccessRule`."""

    method: str
    customer: bool
    scope: str
    session_token: bool
    services: frozenset[str]
    anyone: bool
    tenant_field: str
    tenant_of: Callable[[Any], Any] | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.tenant_field:  # made once: every call asks
            object.__setattr__(self, "tenant_of", attrgetter(self.tenant_field))


def rules_of(service: ServiceDescriptor) -> dict[str, AccessRule]:
    """The rule of each method by its name; raises MissingRuleError naming all that have no usable one."""
    rules, faults = {}, []
    for method in service.methods:
        fault = _fault(method)
        if fault:
            faults.append(f"{method.full_name}: {fault}")
        else:
            rules[method.name] = _rule(method)
    if faults:
        raise MissingRuleError(faults)
    return rules


def check(caller: Caller, rule: AccessRule, message: Message) -> None:
    """Lets the caller pass or raises UNAUTHENTICATED, PERMISSION_DENIED, WRONG_TENANT or WRONG_SESSION."""
    check_caller(caller, rule)
    check_tenant(caller, rule, message)


def check_caller(caller: Caller, rule: AccessRule) -> None:
    """The part of `check` that needs no message: raises UNAUTHENTICATED or PERMISSION_DENIED."""
    if rule.anyone:
        return
    if caller.kind is CallerKind.ANONYMOUS:
        raise IdvError(
            Reason.ERROR_REASON_UNAUTHENTICATED,
            "the call carries no credential",
            remedy="send a bearer token, or use a client certificate",
        )
    if not _allowed(caller, rule):
        raise IdvError(
            Reason.ERROR_REASON_PERMISSION_DENIED,
            f"a caller of this kind may not call {rule.method}",
            remedy="use a credential that the access rule of the method names",
        )
    if caller.kind is CallerKind.CUSTOMER and rule.scope and not caller.holds(rule.scope):
        raise IdvError(
            Reason.ERROR_REASON_PERMISSION_DENIED,
            f"the token lacks the scope {rule.scope}",
            remedy=f"get a token with the scope {rule.scope}",
        )


def check_tenant(caller: Caller, rule: AccessRule, message: Message) -> None:
    """The part of `check` that reads the request, or the first message of a client stream.

    Raises WRONG_TENANT or WRONG_SESSION. Internal services act for every Customer: their reads name a purpose
    instead.
    """
    if rule.tenant_of is not None and not rule.anyone and caller.kind is not CallerKind.SERVICE:
        _check_tenant(caller, rule.tenant_of(message), rule.tenant_field)


def _allowed(caller: Caller, rule: AccessRule) -> bool:
    if caller.kind is CallerKind.SERVICE:
        return caller.name in rule.services
    return rule.customer if caller.kind is CallerKind.CUSTOMER else rule.session_token


def _check_tenant(caller: Caller, value: Any, field_path: str) -> None:
    for name in (value,) if isinstance(value, str) else value:
        customer, session = owner_of(name, field=field_path)
        if customer != caller.customer:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_TENANT,
                f"{field_path} belongs to another Customer",
                field=field_path,
                remedy="name only resources of the calling Customer",
            )
        if caller.kind is CallerKind.SESSION and session is not None and session != caller.session:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_SESSION,
                f"{field_path} belongs to another session than the upload token",
                field=field_path,
                remedy="send the token that was made with the session",
            )


def _rule(method: MethodDescriptor) -> AccessRule:
    option = method.GetOptions().Extensions[access_pb2.access]
    return AccessRule(
        method=method.name,
        customer=option.customer,
        scope=option.scope,
        session_token=option.session_token,
        services=frozenset(option.services),
        anyone=option.anyone,
        tenant_field=option.tenant_field,
    )


def _fault(method: MethodDescriptor) -> str | None:
    if not method.GetOptions().HasExtension(access_pb2.access):
        return "has no option (idv.types.v1.access)"
    rule = _rule(method)
    if not (rule.customer or rule.session_token or rule.services or rule.anyone):
        return "its rule allows nobody"
    if rule.tenant_field:
        found = _field(method.input_type, rule.tenant_field)
        if found is None or found.type != FieldDescriptor.TYPE_STRING:
            return f"its tenant_field {rule.tenant_field} is no text field of {method.input_type.full_name}"
    return None


def _field(message: Descriptor | None, path: str) -> FieldDescriptor | None:
    found = None
    for name in path.split("."):
        found = message.fields_by_name.get(name) if message is not None else None
        message = found.message_type if found is not None else None
    return found

"""Accounts as messages of the contract, and back."""

from __future__ import annotations

from typing import Any

from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2 as pb

from services.notice.accounts.customer import Account, normal_email
from services.runtime.resources import customer_name, parse_customer

CHANGEABLE = ("display_name", "email", "language", "region", "time_zone", "optional_items", "webhook_uri")
"""What `UpdateCustomer` changes. Id and state are not: a state has a method of its own."""


def account(message: pb.Customer, field: str) -> Account:
    """A Customer as it is to be registered: active, with the defaults of what was left out.

    Raises INVALID_ARGUMENT for a name that is none, or another state than active.
    """
    if message.state not in (pb.CUSTOMER_STATE_UNSPECIFIED, pb.CUSTOMER_STATE_ACTIVE):
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "a Customer is registered as active",
            field=f"{field}.state",
            remedy="leave the state out, and set it afterwards",
        )
    values = {name: _value(message, name) for name in CHANGEABLE}
    return Account(parse_customer(message.name, field=f"{field}.name"), **values)


def shown(message: pb.Customer) -> Account:
    """A Customer as the service shows it, as an account."""
    values = {name: _value(message, name) for name in CHANGEABLE}
    return Account(parse_customer(message.name, field="name"), **values, state=message.state)


def changes(request: pb.UpdateCustomerRequest) -> dict[str, Any]:
    """The new values by field. Raises INVALID_ARGUMENT for a field that cannot be changed."""
    if any(name not in CHANGEABLE for name in request.update_fields):
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "update_fields names a field that cannot be changed",
            field="update_fields",
            remedy=f"name some of {', '.join(CHANGEABLE)}",
        )
    return {name: _value(request.customer, name) for name in request.update_fields}


def customer(of: Account) -> pb.Customer:
    """An account as it is shown."""
    return pb.Customer(
        name=customer_name(of.tenant), state=of.state, **{name: getattr(of, name) for name in CHANGEABLE}
    )


def _value(message: pb.Customer, name: str) -> Any:
    if name == "optional_items":
        return tuple(message.optional_items)
    if name == "email":
        return normal_email(message.email)
    default = {"language": "en", "time_zone": "UTC"}.get(name, "")
    return getattr(message, name) or default

"""A Customer's account, and what makes a written one acceptable: pure rules, every fault at once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from email_validator import EmailNotValidError, ValidatedEmail, validate_email
from idv.notice.v1 import customers_pb2 as pb

_ID = re.compile(r"[a-z0-9-]{3,40}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,5}")


class AccountFault(NamedTuple):
    """One thing that is wrong with an account as it was written."""

    field: str
    """Field of the account, by its name in the contract."""
    reason: str
    """What is wrong and what to write instead. It never quotes the value."""


@dataclass(frozen=True, slots=True)
class Account:
    """A Customer: account data, not end users' data."""

    tenant: str
    """Id of the Customer."""
    display_name: str
    email: str
    """In normal form, the domain in Unicode."""
    language: str
    """BCP 47 tag; `en` where none was given."""
    region: str
    time_zone: str
    """Name in the time-zone database; `UTC` where none was given."""
    optional_items: tuple[str, ...] = ()
    """Optional items that its sessions may ask for; empty: any that the notice lists."""
    webhook_uri: str = ""
    state: pb.CustomerState.ValueType = pb.CUSTOMER_STATE_ACTIVE


def emptied(account: Account) -> Account:
    """What is left of a Customer that was off-boarded: its id, and that it is gone."""
    return Account(account.tenant, "", "", "en", "", "UTC", state=pb.CUSTOMER_STATE_OFFBOARDED)


def faults(account: Account, optional: Collection[str]) -> Iterator[AccountFault]:
    """Everything that is wrong with an account; `optional` holds the contract's optional items."""
    if not _ID.fullmatch(account.tenant):
        yield AccountFault("name", "the id is not 3 to 40 of a-z, 0-9 and hyphen")
    if not account.display_name.strip():
        yield AccountFault("display_name", "it is missing")
    for field in ("display_name", "region"):
        if not _one_line(getattr(account, field)):
            yield AccountFault(field, "it holds a line break or another control character")
        if getattr(account, field).startswith(("=", "+", "-", "@")):
            yield AccountFault(field, "it begins with a sign that spreadsheets take for a formula")
    yield from _email_faults(account.email)
    if not _LANGUAGE.fullmatch(account.language):
        yield AccountFault("language", "it is no language tag, such as en or zh-Hans")
    if account.time_zone not in _time_zones():
        yield AccountFault(
            "time_zone", "the time-zone database has no such name; write for example Europe/Berlin"
        )
    if unknown := [code for code in account.optional_items if code not in optional]:
        yield AccountFault("optional_items", f"{len(unknown)} of them are no optional items of the contract")
    if len(set(account.optional_items)) < len(account.optional_items):
        yield AccountFault("optional_items", "an item stands there twice")
    if account.webhook_uri and not _webhook(account.webhook_uri):
        yield AccountFault("webhook_uri", "it is no https address without user name and fragment")


def normal_email(text: str) -> str:
    """The address in normal form; as it was given where it is none (`faults` says so)."""
    try:
        return _checked(text).normalized
    except EmailNotValidError:
        return text


def envelope_address(email: str) -> str:
    """The address as it goes over the wire: an internationalised domain in its ASCII form (RFC 5890).

    Raises EmailNotValidError for what `faults` refuses.
    """
    return _checked(email).ascii_email or email


def is_sent_to(email: str, recipient: str) -> bool:
    """Whether mail to the address goes to this recipient; an address that takes no mail is not told apart."""
    try:
        return envelope_address(email) == recipient
    except EmailNotValidError:
        return True


def _email_faults(text: str) -> Iterator[AccountFault]:
    if not text:
        yield AccountFault("email", "it is missing: relays and notices go there")
        return
    try:
        _checked(text)
    except EmailNotValidError:  # its words quote parts of the address
        yield AccountFault(
            "email",
            "it is no e-mail address of the form name@domain, with ASCII before the @ and a public domain",
        )


def _checked(text: str) -> ValidatedEmail:
    """Syntax alone: whether it can be delivered is seen when it is delivered."""
    return validate_email(text, check_deliverability=False, allow_smtputf8=False, strict=True)


def _one_line(text: str) -> bool:
    """Whether text can stand in a header or a table: no line break, nothing invisible that reorders it."""
    return not any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in text)


def _webhook(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    whole = text.isascii() and text.isprintable() and " " not in text
    return (
        whole
        and parts.scheme == "https"
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and not parts.fragment
        and port != 0
    )


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())

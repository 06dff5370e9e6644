"""Credentials of a local stack, always fresh: its time can be moved, and then the tokens of its ready file are old."""

from __future__ import annotations

from services.local.layout import Layout
from services.local.ready import Ready
from services.local.tokens import CustomerTokens, SigningKey
from services.runtime.clock import Clock, TravelClock


def clock_of(ready: Ready) -> Clock:
    """The application's clock of the stack."""
    return TravelClock(ready.time_file)


def fresh_token(ready: Ready, customer: str) -> str:
    """A Customer's bearer token with every scope: a new one where this account may sign, else the ready file's."""
    keys = Layout(ready.directory).keys
    if (keys / "customers.jwk").exists():
        return customer_tokens(ready).issue(customer)
    return ready.tokens.get(customer, "")


def customer_tokens(ready: Ready) -> CustomerTokens:
    """The issuer of the local stack's Customer tokens."""
    key = SigningKey.open(Layout(ready.directory).keys, "customers")
    return CustomerTokens(key, clock_of(ready))

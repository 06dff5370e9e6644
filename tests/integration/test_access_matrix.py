"""Every RPC against every kind of caller: denied with the right reason unless its rule allows.

Both sides come from the descriptors: a new method is tested the day it is written, whoever forgot to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from idv.errors import IdvError
from idv.types.v1.access_pb2 import AccessRule

from services.local.stack import LocalStack
from services.local.tokens import CustomerTokens, SigningKey
from tests import descriptors, example_requests
from tests.integration import forgery
from tests.integration.callers import NOBODY, Caller, Callers, service
from tests.integration.verification import Opened, Verification

INTERNAL = ("ingest", "storage", "retention", "notice", "verification", "support", "officer", "approver")
# What says that the caller, and not the request, was refused.
DENIALS = {"UNAUTHENTICATED", "CREDENTIAL_EXPIRED", "PERMISSION_DENIED", "WRONG_TENANT", "WRONG_SESSION"}
# What a valid request of an allowed caller must not meet either.
FAULTS = {"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"}

Expected = Callable[[AccessRule], str | None]
"""The reason of the denial that a rule asks for; None: the rule allows the caller."""


@dataclass(frozen=True)
class World:
    """The sessions whose resources are named and whose tokens are shown, and their issuer's keys."""

    stack: LocalStack
    acme: Opened
    acme_again: Opened
    globex: Opened

    @property
    def customer_token(self) -> str:
        return self.stack.token("acme")

    @property
    def customer_key(self) -> SigningKey:
        return self._key("customers")

    @property
    def session_key(self) -> SigningKey:
        return self._key("sessions")

    def _key(self, name: str) -> SigningKey:
        keys = self.stack.layout.keys
        return SigningKey(keys / f"{name}.jwk", keys / f"{name}.jwks")

    def names(self) -> example_requests.Names:
        """Every request names what is Acme's."""
        return example_requests.Names("customers/acme", self.acme.name, self.acme.token)


@dataclass(frozen=True)
class Attempt:
    """One kind of caller."""

    title: str
    caller: Callable[[World], Caller]
    expected: Expected


def always(reason: str) -> Expected:
    return lambda rule: reason


def to_nobody(rule: AccessRule) -> str | None:
    return None if rule.anyone else "UNAUTHENTICATED"


def to_customer(otherwise: str | None) -> Expected:
    """Refused for `otherwise` where Customers may call at all."""

    def reason(rule: AccessRule) -> str | None:
        if rule.anyone:
            return None
        return otherwise if rule.customer else "PERMISSION_DENIED"

    return reason


def to_upload_token(otherwise: str | None) -> Expected:
    """Refused for `otherwise` where upload tokens are taken at all."""

    def reason(rule: AccessRule) -> str | None:
        if rule.anyone:
            return None
        return otherwise if rule.session_token else "PERMISSION_DENIED"

    return reason


def by_service(name: str) -> Callable[[World], Caller]:
    return lambda world: service(name)


def to_service(name: str) -> Expected:
    return lambda rule: None if rule.anyone or name in rule.services else "PERMISSION_DENIED"


BEARERS = [
    Attempt("no credential", lambda world: NOBODY, to_nobody),
    Attempt("the Customer", lambda world: Caller(token=world.customer_token), to_customer(None)),
    Attempt(
        "another Customer",
        lambda world: Caller(token=world.stack.token("globex")),
        to_customer("WRONG_TENANT"),
    ),
    Attempt(
        "the Customer without a scope",
        lambda world: Caller(token=world.stack.token("acme", scopes=())),
        to_customer("PERMISSION_DENIED"),
    ),
    Attempt(
        "the Customer with scopes that nobody knows",
        lambda world: Caller(token=world.stack.token("acme", scopes=("everything", "retention2", "*"))),
        to_customer("PERMISSION_DENIED"),
    ),
    Attempt(
        "an expired token",
        lambda world: Caller(token=forgery.expired(world.customer_token, world.customer_key.load())),
        always("CREDENTIAL_EXPIRED"),
    ),
    Attempt(
        "a token for another audience",
        lambda world: Caller(
            token=CustomerTokens(world.customer_key, world.stack.clock).issue("acme", audience="else")
        ),
        always("UNAUTHENTICATED"),
    ),
    Attempt(
        "a forged token",
        lambda world: Caller(token=forgery.forged(world.customer_token)),
        always("UNAUTHENTICATED"),
    ),
    Attempt(
        "an unsigned token",
        lambda world: Caller(token=forgery.unsigned(world.customer_token)),
        always("UNAUTHENTICATED"),
    ),
    Attempt(
        "a token signed with the public key as a secret",
        lambda world: Caller(token=forgery.confused(world.customer_token, world.customer_key.public)),
        always("UNAUTHENTICATED"),
    ),
    Attempt(
        "a token that brings its own key",
        lambda world: Caller(token=forgery.self_certified(world.customer_token)),
        always("UNAUTHENTICATED"),
    ),
    Attempt(
        "a token with another subject",
        lambda world: Caller(token=forgery.tampered(world.stack.token("globex"), sub="customers/acme")),
        always("UNAUTHENTICATED"),
    ),
    Attempt("what is no token", lambda world: Caller(token="x"), always("UNAUTHENTICATED")),
    Attempt("the session's upload token", lambda world: world.acme.sdk, to_upload_token(None)),
    Attempt(
        "another session's upload token", lambda world: world.acme_again.sdk, to_upload_token("WRONG_SESSION")
    ),
    Attempt(
        "another Customer's upload token", lambda world: world.globex.sdk, to_upload_token("WRONG_TENANT")
    ),
    Attempt(
        "an expired upload token",
        lambda world: Caller(token=forgery.expired(world.acme.token, world.session_key.load())),
        always("CREDENTIAL_EXPIRED"),
    ),
    Attempt(
        "a forged upload token",
        lambda world: Caller(token=forgery.forged(world.acme.token)),
        always("UNAUTHENTICATED"),
    ),
]

CERTIFICATES = [
    Attempt("the Customer's certificate", lambda world: Caller(identity="customer:acme"), to_customer(None)),
    Attempt(
        "another Customer's certificate",
        lambda world: Caller(identity="customer:globex"),
        to_customer("WRONG_TENANT"),
    ),
    *(Attempt(f"the service {name}", by_service(name), to_service(name)) for name in INTERNAL),
]


@pytest_asyncio.fixture(scope="session")
async def world(stack: LocalStack, verification: Verification) -> World:
    """Two sessions of Acme's and one of Globex's."""
    return World(
        stack,
        await verification.open("acme", "matrix-1"),
        await verification.open("acme", "matrix-2"),
        await verification.open("globex", "matrix-3"),
    )


every_method = pytest.mark.parametrize("method", descriptors.methods(), ids=lambda method: method.full_name)


def case(attempts: list[Attempt]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("attempt", attempts, ids=lambda attempt: attempt.title.replace(" ", "-"))


async def reason_of(callers: Callers, method: MethodDescriptor, world: World, caller: Caller) -> str | None:
    try:
        await callers.call(method, example_requests.minimal(method, world.names()), caller)
    except IdvError as error:
        return error.reason_name
    return None


def judge(reason: str | None, expected: str | None) -> None:
    if expected is not None:
        assert reason == expected
        return
    assert reason not in DENIALS
    assert reason not in FAULTS


@case(BEARERS)
@every_method
async def test_a_call_with_a_bearer_token_or_none(
    callers: Callers, world: World, method: MethodDescriptor, attempt: Attempt
) -> None:
    reason = await reason_of(callers, method, world, attempt.caller(world))
    if callers.stack.addresses[method.full_name.split(".")[1]].tls is None:
        assert reason == "UNAVAILABLE", "without a certificate there is no connection at all"
    else:
        judge(reason, attempt.expected(descriptors.rule(method)))


@case(CERTIFICATES)
@every_method
async def test_a_call_with_a_certificate(
    callers: Callers, world: World, method: MethodDescriptor, attempt: Attempt
) -> None:
    reason = await reason_of(callers, method, world, attempt.caller(world))
    judge(reason, attempt.expected(descriptors.rule(method)))


async def test_two_credentials_at_once_are_refused(callers: Callers, world: World) -> None:
    """Which of them counts must never be a guess."""
    method = next(method for method in descriptors.methods() if method.name == "GetSession")
    caller = Caller(identity="customer:globex", token=world.customer_token)
    assert await reason_of(callers, method, world, caller) == "UNAUTHENTICATED"

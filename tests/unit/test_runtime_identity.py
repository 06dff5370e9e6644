"""Identity by certificate: exactly one URI of the trust domain, whatever else the certificate says."""

from __future__ import annotations

import pytest
from idv.errors import IdvError, Reason

from services.runtime.access import AccessRule, MissingRuleError, check, rules_of
from services.runtime.identity import ANONYMOUS, Authenticator, Caller, CallerKind
from tests.echo_service import BARE_SERVICE, Echo

AUTHENTICATOR = Authenticator("idv.local", [])


def _identify(*uris: str) -> Caller:
    peer = {"x509_pem_cert": [b"pem"], "x509_common_name": [b"service/ingest"]}
    if uris:
        peer["peer_uri"] = [uri.encode() for uri in uris]
    return AUTHENTICATOR.identify(peer, ())


def test_a_service_certificate_names_the_service() -> None:
    caller = _identify("spiffe://idv.local/service/ingest")
    assert (caller.kind, caller.name, caller.customer) == (CallerKind.SERVICE, "ingest", None)


def test_a_person_acts_in_the_roles_of_people_alone() -> None:
    caller = _identify("spiffe://idv.local/service/officer/jane")
    assert (caller.kind, caller.name, caller.person) == (CallerKind.SERVICE, "officer", "jane")


def test_a_customer_certificate_holds_every_scope_of_its_customer() -> None:
    caller = _identify("spiffe://idv.local/customer/acme")
    assert (caller.kind, caller.customer) == (CallerKind.CUSTOMER, "acme")
    assert caller.holds("anything")


@pytest.mark.parametrize(
    "uris",
    [
        (),
        ("spiffe://idv.local/service/ingest", "spiffe://idv.local/service/storage"),
        ("spiffe://evil.local/service/ingest",),
        ("spiffe://idv_local/service/ingest",),
        ("spiffe://idv.local/service/ingest/extra",),
        ("spiffe://idv.local/service/",),
        ("spiffe://idv.local/customer/AB",),
        ("https://idv.local/service/ingest",),
        ("spiffe://idv.local/service/ingest\n",),
    ],
)
def test_any_other_certificate_is_nobody(uris: tuple[str, ...]) -> None:
    with pytest.raises(IdvError) as caught:
        _identify(*uris)
    assert caught.value.reason == Reason.ERROR_REASON_UNAUTHENTICATED


@pytest.mark.parametrize(
    "header", ["", "Basic abc", "Bearer", "Bearer a.b", "bearer " + "x" * 9000, "Bearer a.eyJhdWQiOiJ4In0.c"]
)
def test_an_authorization_header_that_is_no_known_token_is_refused(header: str) -> None:
    with pytest.raises(IdvError) as caught:
        AUTHENTICATOR.identify({}, [("authorization", header)])
    assert caught.value.reason == Reason.ERROR_REASON_UNAUTHENTICATED


def test_two_authorization_headers_are_refused() -> None:
    with pytest.raises(IdvError):
        AUTHENTICATOR.identify({}, [("authorization", "Bearer a"), ("authorization", "Bearer b")])


def test_no_credential_is_anonymous() -> None:
    assert AUTHENTICATOR.identify({}, ()) is ANONYMOUS


def test_every_method_without_a_rule_is_named() -> None:
    with pytest.raises(MissingRuleError) as caught:
        rules_of(BARE_SERVICE)
    assert [fault.split(":")[0].rpartition(".")[2] for fault in caught.value.faults] == ["First", "Second"]


CUSTOMER = Caller(CallerKind.CUSTOMER, "acme", customer="acme", credential="certificate")
SESSION = Caller(CallerKind.SESSION, "s", customer="acme", session="0197f0a0-0000-7000-8000-000000000001")
SERVICE = Caller(CallerKind.SERVICE, "friend", credential="certificate")


def _rule(**allowed: object) -> AccessRule:
    empty = {"customer": False, "scope": "", "session_token": False, "services": frozenset()}
    return AccessRule(method="M", **(empty | {"anyone": False, "tenant_field": "parent"} | allowed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "caller", [ANONYMOUS, CUSTOMER, SESSION, SERVICE], ids=lambda caller: caller.kind.value
)
@pytest.mark.parametrize("allowed", ["customer", "session_token", "services", "anyone"])
def test_a_rule_lets_in_whom_it_names_and_nobody_else(caller: Caller, allowed: str) -> None:
    rule = _rule(**{allowed: frozenset({"friend"}) if allowed == "services" else True})
    passes = allowed == "anyone" or caller.kind is {
        "customer": CallerKind.CUSTOMER,
        "session_token": CallerKind.SESSION,
        "services": CallerKind.SERVICE,
    }.get(allowed)
    if passes:
        check(caller, rule, Echo(parent="customers/acme"))
    else:
        with pytest.raises(IdvError):
            check(caller, rule, Echo(parent="customers/acme"))


@pytest.mark.parametrize(
    "name", ["", "acme", "customers/", "customers/acme2", "customers/acme\n", "Customers/acme"]
)
def test_a_customer_reaches_only_names_that_are_clearly_its_own(name: str) -> None:
    with pytest.raises(IdvError):
        check(CUSTOMER, _rule(customer=True), Echo(parent=name))


def test_a_tenant_field_below_a_message_is_read_there() -> None:
    rule = _rule(customer=True, tenant_field="child.parent")
    check(CUSTOMER, rule, Echo(child=Echo(parent="customers/acme/sessions/x")))
    with pytest.raises(IdvError) as caught:
        check(CUSTOMER, rule, Echo(parent="customers/acme", child=Echo(parent="customers/rival")))
    assert caught.value.reason == Reason.ERROR_REASON_WRONG_TENANT

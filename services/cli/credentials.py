"""Credentials that a local stack's keys can make."""

from __future__ import annotations

from services.cli.serve import Service, load
from services.ingest.settings import IngestSettings
from services.ingest.tokens import TokenSigner
from services.local.layout import Layout
from services.local.ready import Ready
from services.local.tokens import CustomerTokens, SigningKey
from services.runtime.clock import Clock, TravelClock


def clock_of(ready: Ready) -> Clock:
    """The application's clock of the stack: the machine's, moved by time travel."""
    return TravelClock(ready.time_file)


def customer_tokens(ready: Ready) -> CustomerTokens:
    """The issuer of the local stack's Customer tokens."""
    key = SigningKey.open(Layout(ready.directory).keys, "customers")
    return CustomerTokens(key, clock_of(ready))


def upload_signer(ready: Ready) -> TokenSigner:
    """What signs upload tokens, as ingest does. Raises IdvError when its settings cannot be read."""
    settings = load(Service.INGEST, Layout(ready.directory).config("ingest"))
    if not isinstance(settings, IngestSettings):
        raise TypeError("the settings of ingest are of another kind")
    trust = settings.session_tokens
    return TokenSigner.load(settings.session_key, issuer=trust.issuer, audience=trust.audience)

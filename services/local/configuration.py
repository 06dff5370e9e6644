"""The settings file of each service: what an operator would write, for one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from services.local.authority import TRUST_DOMAIN, Certificate
from services.local.databases import ServiceDatabase
from services.local.files import write_private
from services.local.layout import SERVICES, Layout
from services.local.mail import MailSink
from services.local.objects import BUCKET_PREFIX, REGION, ObjectStore
from services.local.ports import PortBook
from services.local.signing import LOG_ORIGIN, Secrets
from services.local.tokens import ISSUER
from services.local.witness import Witness

DEPLOYMENT = "local"
WITH_DATABASE = ("storage", "retention", "notice")
"""Services that keep rows; ingest keeps none."""
PARTITIONED = ("storage",)
"""Services that make and drop partitions while they run, under the login that owns their schema."""
WITHOUT_TOKENS = ("storage",)
"""Services that only internal services call: they have no port for bearer tokens."""
JOB_SECONDS = 2.0
"""Seconds between two runs of a periodic job: whoever moves the clock wants to see what follows soon."""
MAIL_SENDER = "privacy@idv.example"
"""From whom mails are."""
BOUNCE_DOMAIN = "bounces.idv.example"
"""Where bounces would be routed to notice."""
BOUNCES = "notice.bounces"
"""Name in the port book: where notice takes bounces."""
PAGE, OFFICER, TILES = "notice.page", "notice.officer", "retention.tiles"
"""Names in the port book: the public page's port, and that of the log's files."""
RETENTION_JOBS = (
    *("deletions", "destructions", "announcements", "relays", "completions", "witnesses"),
    "statements",
)

Differing = Mapping[str, Mapping[str, Any]]
"""By service, settings that differ from what this module writes: `{"storage": {"batch_items": 8}}`."""


@dataclass(frozen=True)
class Addresses:
    """`host:port` of a service's ports; `tls` is None where it takes no bearer tokens."""

    tls: str | None
    mtls: str
    health: str

    @classmethod
    def of(cls, service: str, ports: PortBook) -> Addresses:
        """The ports that the book names for `service`."""
        return cls(
            tls=None if service in WITHOUT_TOKENS else ports.address(f"{service}.tls"),
            mtls=ports.address(f"{service}.mtls"),
            health=ports.address(f"{service}.health"),
        )


@dataclass(frozen=True)
class Parts:
    """Everything that the settings of the services refer to."""

    layout: Layout
    ports: PortBook
    certificates: Mapping[str, Certificate]
    secrets: Secrets
    databases: Mapping[str, ServiceDatabase]
    objects: ObjectStore
    mail: MailSink
    witness: Witness

    def addresses(self, service: str) -> Addresses:
        """Where `service` listens."""
        return Addresses.of(service, self.ports)


def write_settings(parts: Parts, differing: Differing) -> None:
    """Write `config/SERVICE.yaml` for every service, readable by its owner alone: they hold passwords."""
    own = {"storage": _storage, "notice": _notice, "ingest": _ingest, "retention": _retention}
    for service in SERVICES:
        settings = _over(_common(parts, service) | own[service](parts), differing.get(service, {}))
        write_private(parts.layout.config(service), yaml.safe_dump(settings, sort_keys=False))


def _common(parts: Parts, service: str) -> dict[str, Any]:
    addresses = parts.addresses(service)
    certificate = parts.certificates[f"service:{service}"]
    settings: dict[str, Any] = {
        "environment": "local",
        "deployment": DEPLOYMENT,
        "trust_domain": TRUST_DOMAIN,
        "listen_mtls": addresses.mtls,
        "listen_health": addresses.health,
        "tls": {name: str(path) for name, path in vars(certificate).items()},
        "session_tokens": {"jwks": str(parts.secrets.sessions.public)},
        "time_file": str(parts.layout.time_file),
        "telemetry": {"directory": str(parts.layout.telemetry(service)), "sample_ratio": 1.0},
        # No load balancer has to look away first, and nobody waits long for Ctrl-C.
        "drain_seconds": 0,
        "grace_seconds": 5,
    }
    if addresses.tls:
        settings["listen_tls"] = addresses.tls
        settings["customer_tokens"] = {"jwks": str(parts.secrets.customers.public), "issuer": ISSUER}
    if database := parts.databases.get(service):
        settings["database"] = {"dsn": database.dsn}
        if service in PARTITIONED:
            settings["database"]["owner_dsn"] = database.owner_dsn
    return settings


def _storage(parts: Parts) -> dict[str, Any]:
    keys = parts.objects.identity("storage")
    return {
        "objects": {
            "endpoint": parts.objects.endpoint,
            "region": REGION,
            "access_key": keys.access_key,
            "secret_key": keys.secret_key,
            "bucket_prefix": BUCKET_PREFIX,
        },
        "keys": {"file": str(parts.layout.authority / "slots")},
        "expiry_seconds": JOB_SECONDS,
    }


def _notice(parts: Parts) -> dict[str, Any]:
    return {
        "listen_page": parts.ports.address(PAGE),
        "listen_officer": parts.ports.address(OFFICER),
        "amendment": {"two_persons": False},  # one officer serves a stack on one desk
        "mail": {"server": parts.mail.address, "tls": "none", "sender": MAIL_SENDER},
        "delivery": {
            "page_url": f"http://{parts.ports.address(PAGE)}",
            "link_key": str(parts.secrets.links),
            "cover_seconds": JOB_SECONDS,
            "listen_bounces": parts.ports.address(BOUNCES),
            "bounce_domain": BOUNCE_DOMAIN,
        },
    }


def _ingest(parts: Parts) -> dict[str, Any]:
    return {
        "storage_target": parts.addresses("storage").mtls,
        "notice_target": parts.addresses("notice").mtls,
        "session_key": str(parts.secrets.sessions.private),
    }


def _retention(parts: Parts) -> dict[str, Any]:
    return {
        "storage_target": parts.addresses("storage").mtls,
        "notice_target": parts.addresses("notice").mtls,
        "log": {
            "origin": LOG_ORIGIN,
            "signing_key": str(parts.secrets.log),
            "witnesses": [{"url": parts.witness.url, "key": str(parts.witness.key)}],
        },
        "listen_tiles": parts.ports.address(TILES),
        "request_key": str(parts.secrets.request),
        "jobs": dict.fromkeys(RETENTION_JOBS, JOB_SECONDS),
    }


def _over(settings: dict[str, Any], differing: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with the values of `differing` in their place, table by table."""
    for name, value in differing.items():
        known = settings.get(name)
        if isinstance(known, dict) and isinstance(value, Mapping):
            _over(known, value)
        else:
            settings[name] = value
    return settings


def public_page(parts: Parts) -> str:
    """URL of the public page of the notice in force."""
    return f"http://{parts.ports.address(PAGE)}/"


def officer_page(parts: Parts) -> str:
    """URL of the officer's page, by mutual TLS."""
    return f"https://{parts.ports.address(OFFICER)}/"


def log_files(parts: Parts) -> str:
    """URL below which the log is served as files."""
    return f"http://{parts.ports.address(TILES)}/"

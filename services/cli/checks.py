"""The checks of `idv doctor`. Each looks at one thing and never changes anything."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import grpc
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from idv.errors import IdvError
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub

from services.cli.client import CALL_SECONDS, NOBODY, Suite
from services.cli.credentials import clock_of
from services.cli.demo.probes import Probes, bucket_of
from services.cli.failure import NotAsPromisedError, usage
from services.cli.log import newest, opened
from services.cli.serve import Service, load
from services.local.layout import Layout
from services.runtime import migrations
from services.storage.slots import SlotFile, SlotFileError

_SKEW = timedelta(seconds=5)
"""Terms end by the machine's clock: one further away than this from another deserves a look."""
_ENDS_SOON = timedelta(days=14)
_FEW_SLOTS = 512
_SECONDS = 5.0


class Health(enum.Enum):
    """What a check says of its subject."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


class Finding(NamedTuple):
    """What one check found of one subject, and what to do about it."""

    check: str
    subject: str
    health: Health
    found: str
    remedy: str = ""


class Found(NamedTuple):
    """A finding of a check that knows its own name only in the table."""

    subject: str
    health: Health
    found: str
    remedy: str = ""


async def configuration(suite: Suite) -> AsyncIterator[Found]:
    """The settings of every service, where this account can read them."""
    layout = Layout(suite.ready.directory)
    for service in Service:
        file = layout.config(service.value)
        if not file.exists():
            yield Found(service, Health.WARNING, "its settings are not on this machine")
            continue
        try:
            settings = load(service, file)
        except IdvError as error:
            yield Found(service, Health.BAD, error.message, error.remedy or "")
        else:
            yield Found(
                service, Health.GOOD, f"good, {settings.environment}, deployment {settings.deployment}"
            )


async def certificates(suite: Suite) -> AsyncIterator[Found]:
    """The end of every certificate, by the machine's clock as TLS does."""
    files = {"authority": suite.ready.ca}
    files |= {identity: pair.certificate for identity, pair in suite.ready.certificates.items()}
    for identity, file in files.items():
        try:
            end = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
        except (OSError, ValueError):
            yield Found(identity, Health.BAD, f"{file} holds no certificate", "issue it anew")
            continue
        left = end - datetime.now(UTC)
        health = Health.BAD if left <= timedelta() else Health.WARNING if left < _ENDS_SOON else Health.GOOD
        yield Found(identity, health, f"ends {end:%Y-%m-%d}", "" if health is Health.GOOD else "renew it")


async def services(suite: Suite) -> AsyncIterator[Found]:
    """Whether every service says that it serves."""
    for name, address in suite.ready.services.items():
        async with grpc.aio.insecure_channel(address.health) as channel:
            try:
                stub = health_pb2_grpc.HealthStub(channel)
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
            except grpc.RpcError:
                yield Found(name, Health.BAD, "does not answer", f"look into {address.log}")
                continue
        state = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        yield Found(name, Health.GOOD if serving else Health.BAD, state.lower().replace("_", " "))


async def clocks(suite: Suite) -> AsyncIterator[Found]:
    """The machine's clock against the database's, and whether the application's was moved."""
    async with asyncio.timeout(_SECONDS):
        connection = await asyncpg.connect(suite.ready.postgres.dsn)
    try:
        theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
    finally:
        await connection.close()
    skew = abs(theirs - datetime.now(UTC))
    good = skew <= _SKEW
    remedy = "" if good else "synchronise both clocks: terms end by this machine's"
    yield Found(
        "database", Health.GOOD if good else Health.BAD, f"{skew.total_seconds():.3f} s apart", remedy
    )
    moved = clock_of(suite.ready).now() - datetime.now(UTC)
    if abs(moved) > timedelta(seconds=1):
        hours = moved.total_seconds() / 3600
        remedy = f"remove {suite.ready.time_file} for real time"
        yield Found("application", Health.WARNING, f"moved by {hours:+.1f} h", remedy)
    else:
        yield Found("application", Health.GOOD, "real time")


async def database(suite: Suite) -> AsyncIterator[Found]:
    """Durability settings, and the revision of every schema."""
    async with asyncio.timeout(_SECONDS):
        connection = await asyncpg.connect(suite.ready.postgres.dsn)
    try:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            value = await connection.fetchval("SELECT current_setting($1)", setting)
            bad = value == "off"
            yield Found(setting, Health.BAD if bad else Health.GOOD, value, "switch it on" if bad else "")
        for schema in ("storage", "retention", "notice"):
            current = await connection.fetchval(f"SELECT version_num FROM {schema}.alembic_version")  # noqa: S608 - fixed names
            good = current == migrations.head(schema)
            yield Found(
                schema,
                Health.GOOD if good else Health.BAD,
                f"revision {current}",
                "" if good else "run idv migrate",
            )
    finally:
        await connection.close()


async def objects(suite: Suite) -> AsyncIterator[Found]:
    """Whether the object store has the bucket of today."""
    bucket = bucket_of(clock_of(suite.ready).now().date())
    status = await Probes(suite.ready, _slot_file(suite)).object_status(bucket)
    good = status == 200
    yield Found(
        bucket,
        Health.GOOD if good else Health.BAD,
        f"HEAD {status}",
        "" if good else "look into storage's log",
    )


async def keys(suite: Suite) -> AsyncIterator[Found]:
    """How many slots of the local key authority are free."""
    try:
        free = SlotFile(_slot_file(suite)).free()
    except SlotFileError as error:
        yield Found("slot file", Health.WARNING, str(error))
        return
    few = free < _FEW_SLOTS
    yield Found(
        "slot file",
        Health.WARNING if few else Health.GOOD,
        f"{free} slots free",
        "is expiry late?" if few else "",
    )


async def notice(suite: Suite) -> AsyncIterator[Found]:
    """Whether a version of the notice is in force: without, nothing is taken in."""
    stub = suite.stub(NoticeServiceStub, "notice", NOBODY)
    found = (await stub.GetNotice(notice_pb2.GetNoticeRequest(), timeout=CALL_SECONDS)).notice
    yield Found(f"version {found.version}", Health.GOOD, f"in force, {found.terms.retention_days} days")


async def log(suite: Suite) -> AsyncIterator[Found]:
    """Whether the log's newest checkpoint is signed by its key."""
    head = opened((await newest(suite)).note, suite.ready.log_public_key)
    yield Found(head.origin, Health.GOOD, f"{head.size} leaves, signed")


CHECKS: Mapping[str, Callable[[Suite], AsyncIterator[Found]]] = {
    check.__name__: check
    for check in (configuration, certificates, services, clocks, database, objects, keys, notice, log)
}
"""Every check by its name, in the order in which one would look."""


async def examine(suite: Suite, names: Sequence[str]) -> list[Finding]:
    """Runs the checks of these names.

    What a check cannot reach is a finding too. Raises a usage error for another name.
    """
    unknown = set(names) - CHECKS.keys()
    if unknown:
        raise usage(f"there is no check {min(unknown)!r}", f"use some of {', '.join(CHECKS)}", field="--only")
    findings: list[Finding] = []
    for name in names:
        try:
            findings.extend([Finding(name, *found) async for found in CHECKS[name](suite)])
        except IdvError as error:
            findings.append(Finding(name, "service", Health.BAD, error.message, error.remedy or ""))
        except NotAsPromisedError as error:
            findings.append(Finding(name, "evidence", Health.BAD, str(error)))
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            findings.append(
                Finding(name, "server", Health.BAD, f"cannot be reached ({type(error).__name__})")
            )
    return findings


def _slot_file(suite: Suite) -> Path:
    return Layout(suite.ready.directory).authority / "slots"

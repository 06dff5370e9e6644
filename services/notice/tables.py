"""The schema of the notice service: what was written, when it changed state, which calls were answered."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "notice"
METADATA = MetaData(schema=SCHEMA)

_INSTANT = DateTime(timezone=True)

versions = Table(
    "versions",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("terms", JSONB, nullable=False),
    Column("terms_yaml", Text, nullable=False),  # as the author wrote it, comments included
    Column("digest", LargeBinary, nullable=False),  # SHA-256 over terms and texts, both published
    Column("material", Boolean),  # judged at the announcement against the version then in force
    Column("create_time", _INSTANT, nullable=False),
    # Each instant is written once and never changes: state is computed from them when asked.
    Column("announce_time", _INSTANT),
    Column("effective_time", _INSTANT),
    Column("clear_time", _INSTANT),
    Column("withdraw_time", _INSTANT),
    CheckConstraint(
        "(announce_time IS NULL) = (effective_time IS NULL)", name="versions_announced_with_an_instant"
    ),
    CheckConstraint(
        "announce_time IS NOT NULL OR clear_time IS NULL", name="versions_cleared_only_if_announced"
    ),
)

texts = Table(
    "texts",
    METADATA,
    Column("number", Integer, ForeignKey(versions.c.number), primary_key=True),
    Column("language", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("markdown", Text, nullable=False),
)

changes = Table(
    "changes",
    METADATA,
    Column(
        "sequence", BigInteger, primary_key=True, autoincrement=False
    ),  # without gaps, in the order of commits
    Column("number", Integer, ForeignKey(versions.c.number), nullable=False),
    Column("kind", Text, nullable=False),  # created, announced, withdrawn
    Column("change_time", _INSTANT, nullable=False),
    Column("actor", Text, nullable=False),  # the internal service that called
    Column("reason", Text),
)
"""Every change of a version's stored state, who made it, and why."""

requests = Table(
    "requests",
    METADATA,
    Column("request_id", Uuid, primary_key=True),
    Column(
        "fingerprint", LargeBinary, nullable=False
    ),  # SHA-256 of method and request: a retry must ask the same
    Column("number", Integer, ForeignKey(versions.c.number), nullable=False),
)

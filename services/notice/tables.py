"""The schema of the notice service: versions and their changes of state, Customers, mail, answered calls.

Tables of Customers' rows are walled by row-level security. Beside each stands one of ids only, by which
lists and workers find rows without acting for every Customer at once.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
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

customer_ids = Table("customer_ids", METADATA, Column("tenant", Text, primary_key=True))
"""Ids alone."""

customers = Table(
    "customers",
    METADATA,
    Column("tenant", Text, ForeignKey(customer_ids.c.tenant), primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("optional_items", ARRAY(Text), nullable=False),
    Column("webhook_uri", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),  # idv.notice.v1.CustomerState
    Column("create_time", _INSTANT, nullable=False),
    Column("state_time", _INSTANT, nullable=False),
)

customer_requests = Table(
    "customer_requests",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),  # SHA-256 of method and request
    PrimaryKeyConstraint("tenant", "request_id"),
)

mails = Table(
    "mails",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("mail", Uuid, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),  # SHA-256 of the request: a retry asks the same
    Column("kind", SmallInteger, nullable=False),  # idv.notice.v1.MessageKind
    Column("recipient", Text, nullable=False),  # as in the envelope
    Column("content", LargeBinary),  # the message as it is sent; forgotten at the final state
    Column("state", SmallInteger, nullable=False),  # idv.notice.v1.DeliveryState
    Column("state_time", _INSTANT, nullable=False),
    Column("reply", Text),  # what the mail server said last: the evidence of the final state
    Column("attempts", Integer, nullable=False),
    Column("create_time", _INSTANT, nullable=False),
    PrimaryKeyConstraint("tenant", "mail"),
    UniqueConstraint("tenant", "request_id"),
)
"""The outbox: a row is committed before anything is sent, and ends as the evidence of how that went."""

mail_work = Table(
    "mail_work",
    METADATA,
    Column("mail", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("due_time", _INSTANT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Index(None, "due_time"),
)
"""Mails that have no final state. Ids only."""

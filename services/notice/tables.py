"""The schema of the notice service: versions and their changes of state, Customers, mail, deliveries, calls.

Tables of Customers' rows are walled by row-level security. Beside each stands one of ids only, by which
lists and workers find rows without acting for every Customer at once.
"""

from __future__ import annotations

from datetime import timedelta

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
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.runtime.jobs import lease_table

SCHEMA = "notice"
METADATA = MetaData(schema=SCHEMA)

SKEW = timedelta(seconds=5)
"""How far the clocks of two replicas may differ."""
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
    Column(
        "actor", Text, nullable=False
    ),  # the internal service that called, and the person of its certificate
    Column("reason", Text),
    Column("declared", SmallInteger, nullable=False),  # idv.notice.v1.Materiality: the author's word
    Column("told", JSONB),  # counts of the audience by how it was told, where its gate cleared
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

customer_ids = Table(
    "customer_ids",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("offboarded", Boolean, nullable=False, server_default=false()),
)
"""Ids alone, and whether to be told of nothing more: read where no Customer's other rows may be."""

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
    Column("age_time", _INSTANT),  # from when on it ages: set by the job that ends it
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
    Column("recipient", Text, nullable=False),  # as in the envelope; emptied when the address is replaced
    Column("content", LargeBinary),  # the message as it is sent; forgotten at the final state
    Column("state", SmallInteger, nullable=False),  # idv.notice.v1.DeliveryState
    Column("state_time", _INSTANT, nullable=False),
    Column("reply", Text),  # what the mail server said last: the evidence of the final state
    Column("attempts", Integer, nullable=False),
    Column("create_time", _INSTANT, nullable=False),
    Column("replace_time", _INSTANT),  # since when its address is none of the Customer's any more
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
    Column("set_time", _INSTANT),  # when `due_time` was decided on
    Index(None, "due_time"),
)
"""Mails that have no final state. Ids only."""

webhooks = Table(
    "webhooks",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("webhook", Uuid, nullable=False),  # the id that receivers know it by
    Column("request_id", Uuid, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),  # SHA-256 of the request: a retry asks the same
    Column("uri", Text),  # forgotten, like the content, at the final state
    Column("content", LargeBinary),  # the body as it is posted
    Column("state", SmallInteger, nullable=False),  # idv.retention.v1.NotificationState
    Column("state_time", _INSTANT, nullable=False),
    Column("create_time", _INSTANT, nullable=False),
    Column("reply", Text),  # the last answer's status or what stood in its place, never its text
    Column("attempts", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "webhook"),
    UniqueConstraint("tenant", "request_id"),
)
"""Messages to webhooks: committed before anything is posted, and kept as the evidence of how that went."""

webhook_work = Table(
    "webhook_work",
    METADATA,
    Column("webhook", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("due_time", _INSTANT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("set_time", _INSTANT),  # when `due_time` was decided on
    Index(None, "due_time"),
)
"""Messages that have no final state. Ids only."""

audiences = Table(
    "audiences",
    METADATA,
    Column("version", Integer, ForeignKey(versions.c.number), primary_key=True, autoincrement=False),
    Column("audience", BigInteger, nullable=False),  # Customers at the announcement; never changes
    Column("held", BigInteger, nullable=False),  # of them, without a final state: what the gate waits for
    Column("queued", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("bounced", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("covered", BigInteger, nullable=False),
    # How the audience was told, counted where a delivery's hold ends.
    Column("told_accepted", BigInteger, nullable=False),
    Column("told_covered", BigInteger, nullable=False),
    Column("complete_time", _INSTANT),  # when the gate had nothing left to wait for
    Column("pause_time", _INSTANT),
    Column("website_time", _INSTANT),  # since when the website shows the version
    # From here on the pace is measured.
    Column("pace_time", _INSTANT, nullable=False),
    Column("pace_queued", BigInteger, nullable=False),
)
"""A version that Customers are told of, with its counts. Its row's lock puts ends of deliveries in order."""

deliveries = Table(
    "deliveries",
    METADATA,
    Column("version", Integer, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),  # idv.notice.v1.DeliveryState
    Column("audience", Boolean, nullable=False),  # registered at the announcement
    Column("held", Boolean, nullable=False),  # the gate waits for it; once false it stays so
    Column("attempts", Integer, nullable=False),
    Column("create_time", _INSTANT, nullable=False),  # when it was put into the queue
    Column("state_time", _INSTANT, nullable=False),
    Column("due_time", _INSTANT),  # while queued
    Column("set_time", _INSTANT),  # when `due_time` was decided on
    PrimaryKeyConstraint("version", "tenant"),
    Index("ix_deliveries_due", "version", "due_time", postgresql_where=text("due_time IS NOT NULL")),
    Index("ix_deliveries_failed", "version", postgresql_where=text("state = 4")),
)
"""Who is told of which version, and how far that is. Ids only: made for any number of Customers at once."""

delivery_evidence = Table(
    "delivery_evidence",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("recipient", Text, nullable=False),  # as in the envelope
    Column("state", SmallInteger, nullable=False),  # idv.notice.v1.DeliveryState
    Column("reply", Text, nullable=False),  # what the mail server, or the bounce, said last
    Column("reply_time", _INSTANT, nullable=False),
    Column("replace_time", _INSTANT),  # since when its address is none of the Customer's any more
    PrimaryKeyConstraint("tenant", "version", "recipient"),
)
"""What explains a delivery's state: the last reply for each address."""

acknowledgements = Table(
    "acknowledgements",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # idv.notice.v1.AcknowledgementKind
    Column("channel", SmallInteger, nullable=False),  # idv.notice.v1.AcknowledgementChannel
    Column("acknowledge_time", _INSTANT, nullable=False),
    PrimaryKeyConstraint("tenant", "version", "kind"),
)
"""Who has seen or accepted which version; the first time counts."""

job_leases = lease_table(METADATA)

"""The schema of the storage service. Every table of end users' data is partitioned by session day and walled
by Customer.

What stands in the clear reaches write-ahead logs and backups, so it is a short list, held by a test: ids,
Customer, times, category, size class, state, notice version and its purposes. All else is sealed.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
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
    text,
)

from services.runtime.clock_guard import mark_table
from services.runtime.jobs import lease_table

SCHEMA = "storage"
METADATA = MetaData(schema=SCHEMA)
PARTITIONED = ("sessions", "records", "accesses", "erasures", "fences", "restrictions", "changes")
"""Tables with one partition for each session day."""

_INSTANT = DateTime(timezone=True)

tenants = Table("tenants", METADATA, Column("customer", Text, primary_key=True))
"""The Customers that have ever opened a session: account data, for jobs that go from one to the next."""

days = Table(
    "days",
    METADATA,
    Column("day", Date, primary_key=True),
    Column("retention_days", Integer),  # unset until the day's first session: one day, one term
    Column("state", Text, nullable=False),  # prepared, removed
)

root_keys = Table(
    "root_keys",
    METADATA,
    Column("day", Date, nullable=False),
    Column("slot", SmallInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("sealed", LargeBinary),  # empty once destroyed
    Column("destroy_time", _INSTANT),
    PrimaryKeyConstraint("day", "slot"),
)

destructions = Table(
    "destructions",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),  # without gaps: given under a lock
    Column("kind", SmallInteger, nullable=False),  # idv.storage.v1.DestructionKind
    Column("day", Date, nullable=False),
    Column("slot", SmallInteger, nullable=False),
    Column("due_time", _INSTANT, nullable=False),
    Column("destroy_time", _INSTANT, nullable=False),
    Column("record_count", BigInteger, nullable=False),
    UniqueConstraint("kind", "day", "slot"),
)

job_leases = lease_table(METADATA)
clock_marks = mark_table(METADATA)

sessions = Table(
    "sessions",
    METADATA,
    Column("day", Date, nullable=False),
    Column("customer", Text, nullable=False),
    Column("session", Uuid, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("request_mac", LargeBinary),
    Column("subject_digest", LargeBinary),
    Column("notice_version", Integer, nullable=False),
    Column("purposes", ARRAY(SmallInteger), nullable=False),
    Column("create_time", _INSTANT, nullable=False),
    Column("close_time", _INSTANT, nullable=False),
    Column("state", SmallInteger, nullable=False),  # idv.types.v1.SessionState
    Column("erasure", Uuid),
    Column("commitment", LargeBinary),
    Column("details", LargeBinary),
    Column("restriction", SmallInteger),  # idv.types.v1.RestrictionReason while restricted
    Column("opt_out", ARRAY(Text)),  # what it must not hold any more, see `opt_outs`
    PrimaryKeyConstraint("day", "session"),
    UniqueConstraint("day", "customer", "request_id"),
    Index(None, "day", "customer", "subject_digest"),
    postgresql_partition_by="RANGE (day)",
)

records = Table(
    "records",
    METADATA,
    Column("day", Date, nullable=False),
    Column("customer", Text, nullable=False),
    Column("session", Uuid, nullable=False),
    Column("record", Uuid, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("request_mac", LargeBinary),
    Column("category", Text, nullable=False),
    Column("notice_version", Integer, nullable=False),
    Column("receive_time", _INSTANT, nullable=False),
    Column("expire_time", _INSTANT, nullable=False),
    Column("size_class", SmallInteger, nullable=False),  # number of bits of the body's size
    Column("state", SmallInteger, nullable=False),  # idv.types.v1.RecordState
    Column("erasure", Uuid),
    Column("object", Text),  # the random name of a large body
    Column("commitment", LargeBinary),
    Column("details", LargeBinary),
    Column("body", LargeBinary),  # the body, or for a large one its data key
    PrimaryKeyConstraint("day", "session", "record"),
    UniqueConstraint("day", "session", "request_id"),
    Index(None, "day", "customer", "receive_time"),
    postgresql_partition_by="RANGE (day)",
)

accesses = Table(
    "accesses",
    METADATA,
    Column("day", Date, nullable=False),
    Column("customer", Text, nullable=False),
    Column("session", Uuid, nullable=False),
    Column("record", Uuid, nullable=False),
    Column("access", Uuid, nullable=False),
    Column("access_time", _INSTANT, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("details", LargeBinary, nullable=False),
    Column("kind", SmallInteger),  # idv.types.v1.AccessKind; unset by the release before: a read
    Column(
        "position", BigInteger
    ),  # its place among the Customer's accesses, from 1; unset until it is numbered
    Column("flags", SmallInteger),  # a bit for each idv.types.v1.AccessFlag, set with the position
    PrimaryKeyConstraint("day", "customer", "access"),
    Index("ix_storage_accesses_unnumbered", "customer", postgresql_where=text("position IS NULL")),
    Index("ix_storage_accesses_position", "customer", "position"),
    postgresql_partition_by="RANGE (day)",
)

access_heads = Table(
    "access_heads",
    METADATA,
    Column("customer", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""The last position given to an access of the Customer. Its row is the lock of who gives the next."""

access_totals = Table(
    "access_totals",
    METADATA,
    Column("customer", Text, nullable=False),
    Column("day", Date, nullable=False),  # of the accesses
    Column("service", Text, nullable=False),
    Column("purpose", SmallInteger, nullable=False),  # idv.types.v1.Purpose
    Column("access_count", BigInteger, nullable=False),
    Column("record_count", BigInteger, nullable=False),
    Column("bulk_count", BigInteger, nullable=False),
    Column("first_purpose", Boolean, nullable=False),
    PrimaryKeyConstraint("customer", "day", "service", "purpose"),
)
"""What remains of accesses when their details have died: counts, without ids."""

access_windows = Table(
    "access_windows",
    METADATA,
    Column("customer", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("start_time", _INSTANT, nullable=False),
    Column("record_count", BigInteger, nullable=False),
    PrimaryKeyConstraint("customer", "service", "start_time"),
)
"""How many records a service saw within a window, for the flag of bulk reads."""

erasures = Table(
    "erasures",
    METADATA,
    Column("day", Date, nullable=False),  # of the request
    Column("customer", Text, nullable=False),
    Column("erasure", Uuid, nullable=False),  # the request id
    Column("request_mac", LargeBinary, nullable=False),
    Column("request_time", _INSTANT, nullable=False),
    Column("step", SmallInteger, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("details", LargeBinary),  # the target, until it is done
    Column("record_count", BigInteger, nullable=False),
    Column("session_count", BigInteger, nullable=False),
    Column("object_count", BigInteger, nullable=False),
    Column("erase_time", _INSTANT),
    Column("final_time", _INSTANT),
    Column("days_total", Integer),  # of a wide scope: unset until every day is fenced
    Column("days_done", Integer),
    Column("swept_day", Date),  # the day being swept, or the last one that was
    Column("swept_time", _INSTANT),  # on that day, everything received before is swept
    PrimaryKeyConstraint("day", "customer", "erasure"),
    postgresql_partition_by="RANGE (day)",
)

fences = Table(
    "fences",
    METADATA,
    Column("day", Date, nullable=False),
    Column("customer", Text, nullable=False),
    Column("erasure", Uuid, nullable=False),
    Column("category", Text),  # unset: of every category, and sessions too
    Column("start_time", _INSTANT, nullable=False),
    Column("end_time", _INSTANT, nullable=False),
    PrimaryKeyConstraint("day", "customer", "erasure"),
    postgresql_partition_by="RANGE (day)",
)
"""What erasures of wide scopes made unreadable at once: all that was received within, committed or not."""

restrictions = Table(
    "restrictions",
    METADATA,
    Column("day", Date, nullable=False),
    Column("customer", Text, nullable=False),
    Column("subject_digest", LargeBinary, nullable=False),
    Column("reason", SmallInteger, nullable=False),  # idv.types.v1.RestrictionReason
    Column("restricted", Boolean, nullable=False),  # false once lifted
    PrimaryKeyConstraint("day", "customer", "subject_digest"),
    postgresql_partition_by="RANGE (day)",
)
"""Subjects whose sessions of the day, and later ones, are restricted: by the day's own digest."""

changes = Table(
    "changes",
    METADATA,
    Column("day", Date, nullable=False),  # of the request
    Column("customer", Text, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("request_mac", LargeBinary, nullable=False),
    Column("record_count", BigInteger, nullable=False),
    Column("answer_time", _INSTANT),
    PrimaryKeyConstraint("day", "customer", "request_id"),
    postgresql_partition_by="RANGE (day)",
)
"""Restrictions and opt-outs set or lifted, and what was answered: a late repeat changes nothing again."""

customer_keys = Table(
    "customer_keys",
    METADATA,
    Column("customer", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""The long-lived key of a Customer, for the digests of those who opted out; made with the first."""

opt_outs = Table(
    "opt_outs",
    METADATA,
    Column("customer", Text, nullable=False),
    Column("subject_digest", LargeBinary, nullable=False),
    Column("items", ARRAY(Text), nullable=False),  # empty: everything
    Column("opt_out_time", _INSTANT, nullable=False),
    PrimaryKeyConstraint("customer", "subject_digest"),
)
"""Who opted out, of what; kept until lifted. The digest is keyed by the Customer's long-lived key."""

closed_customers = Table(
    "closed_customers",
    METADATA,
    Column("customer", Text, primary_key=True),
    Column("close_time", _INSTANT, nullable=False),
)
"""Customers that were off-boarded: no session is opened for them. Kept for ever."""

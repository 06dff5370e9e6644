"""The schema of the retention service.

The log's tables are append-only for the running service (it may select and insert) and hold salted hashes. Of
a deletion, what it was of rests sealed until it is done and is then forgotten; so does the receipt's opening,
whose entry could be compared with guesses, for its term.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import (
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
)
from sqlalchemy.dialects.postgresql import JSONB

from services.runtime.jobs import lease_table

SCHEMA = "retention"
METADATA = MetaData(schema=SCHEMA)
SKEW = timedelta(seconds=5)
"""How far the clocks of two replicas may differ."""
_INSTANT = DateTime(timezone=True)

log_leaves = Table(
    "log_leaves",
    METADATA,
    Column("leaf_index", BigInteger, primary_key=True, autoincrement=False),  # contiguous: given under a lock
    Column("leaf_data", LargeBinary, nullable=False),  # HMAC-SHA256(salt, entry)
    Column("kind", SmallInteger, nullable=False),  # idv.types.v1.EntryKind
    Column("source", Text, nullable=False, unique=True),  # what it stands for, once: `destruction/12`
    Column("append_time", _INSTANT, nullable=False),
    Column("salt", LargeBinary),  # salt and entry where they concern no single Customer
    Column("entry", LargeBinary),
)

log_nodes = Table(
    "log_nodes",
    METADATA,
    Column("level", SmallInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "number"),
)
"""The root of every perfect subtree; never changed once written."""

log_checkpoints = Table(
    "log_checkpoints",
    METADATA,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("sign_time", _INSTANT, nullable=False),
)
"""The signed head after each append; the newest is the log's size."""

log_cosignatures = Table(
    "log_cosignatures",
    METADATA,
    Column("size", BigInteger, nullable=False),
    Column("witness", Text, nullable=False),  # its key, as it is written in the settings
    Column("line", Text, nullable=False),  # the signature line, verified
    Column("cosign_time", _INSTANT, nullable=False),  # by the witness's clock
    PrimaryKeyConstraint("size", "witness"),
    Index(None, "witness", "size"),
)
"""Which witness cosigned the checkpoint of which size."""

statements = Table(
    "statements",
    METADATA,
    Column("day", Date, primary_key=True),
    Column("leaf_index", BigInteger, nullable=False),
    Column("make_time", _INSTANT, nullable=False),
    Column("document", Text, nullable=False),
)
"""The daily statement of each UTC day on which one could be made; public, and kept for ever as the log is."""

cursors = Table(
    "cursors",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""How far each feed of another service has been logged; moves in the transaction that logs."""

deletions = Table(
    "deletions",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("deletion", Uuid, nullable=False),  # UUIDv7: sorts by receipt
    Column("request_id", Uuid, nullable=False),
    Column("request_digest", LargeBinary),  # keyed; forgotten with the opening
    Column("scope", Text, nullable=False),  # kind of its target
    Column("state", SmallInteger, nullable=False),  # idv.retention.v1.DeletionState
    Column("receive_time", _INSTANT, nullable=False),
    Column("sealed_target", LargeBinary),  # until done
    Column("complete_time", _INSTANT),
    Column("final_time", _INSTANT),
    Column("record_count", BigInteger),
    Column("session_count", BigInteger),
    Column("leaf_index", BigInteger),
    Column("receipt", Text),  # without its opening
    Column("sealed_receipt", LargeBinary),  # whole, until its opening is forgotten
    Column("failure", Text),  # idv.types.v1.ErrorReason by name, where it failed for good
    Column("progress_done", Integer),  # days or targets
    Column("progress_total", Integer),
    Column(
        "outcomes", JSONB(none_as_null=True)
    ),  # of several targets: see `erasing.Outcome`; it names nothing
    Column("mail_state", SmallInteger),  # idv.retention.v1.NotificationState; none: not handed over yet
    Column("webhook_state", SmallInteger),  # the same
    PrimaryKeyConstraint("tenant", "deletion"),
    UniqueConstraint("tenant", "request_id"),
)

deletion_work = Table(
    "deletion_work",
    METADATA,
    Column("deletion", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("due_time", _INSTANT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("set_time", _INSTANT),  # when `due_time` was decided on
    Index(None, "due_time"),
)
"""Deletions with something left to do: to be carried out, or to age. Ids only, so that
the jobs find them without acting for every Customer at once."""

completion_work = Table(
    "completion_work",
    METADATA,
    Column("deletion", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("due_time", _INSTANT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("set_time", _INSTANT, nullable=False),
    Index(None, "due_time"),
)
"""Ended deletions whose Customer is to be told, or whose report has no final state. Ids only."""

relays = Table(
    "relays",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("relay", Uuid, nullable=False),  # UUIDv7: sorts by receipt
    Column("request_id", Uuid, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # idv.retention.v1.RequestKind
    Column("case_number", Text, nullable=False),
    Column("receive_time", _INSTANT, nullable=False),
    Column("due_time", _INSTANT, nullable=False),
    Column("mail_state", SmallInteger, nullable=False),  # idv.notice.v1.DeliveryState; 0: not handed over yet
    Column("remind_time", _INSTANT),
    Column("resolve_time", _INSTANT),
    PrimaryKeyConstraint("tenant", "relay"),
    UniqueConstraint("tenant", "request_id"),
    UniqueConstraint("tenant", "case_number"),
)
"""End users' own requests, relayed: nothing of what was written, and nothing of who wrote it."""

relay_work = Table(
    "relay_work",
    METADATA,
    Column("relay", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("due_time", _INSTANT, nullable=False),
    Column("attempts", Integer, nullable=False),  # in vain, since the last that was not
    Column("set_time", _INSTANT),  # when `due_time` was decided on
    Index(None, "due_time"),
)
"""Relays with something left to do: to be mailed, followed, reminded of, removed. Ids only."""

exports = Table(
    "exports",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),  # keyed
    Column("start_time", _INSTANT, nullable=False),  # of the first call
    Column("attempt", Integer, nullable=False),  # only the newest call goes on
    Column("planned", Boolean, nullable=False),  # whether what it is to hold is complete
    PrimaryKeyConstraint("tenant", "request_id"),
)

export_rows = Table(
    "export_rows",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # see `export_store.Kind`
    Column("number", BigInteger, nullable=False),  # from 0, of each kind
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "request_id", "kind", "number"),
)
"""What an export is to hold, and digests of what of it was written: sealed, and forgotten within a day."""

export_work = Table(
    "export_work",
    METADATA,
    Column("tenant", Text, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("due_time", _INSTANT, nullable=False),
    PrimaryKeyConstraint("tenant", "request_id"),
    Index(None, "due_time"),
)
"""Exports that are to be forgotten. Ids only, as `deletion_work`."""

offboardings = Table(
    "offboardings",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("request_id", Uuid, nullable=False),  # of the first call
    Column("state", SmallInteger, nullable=False),  # idv.retention.v1.OffboardingState
    Column("receive_time", _INSTANT, nullable=False),
    Column("close_time", _INSTANT),
    Column("deletion", Uuid),
    Column("complete_time", _INSTANT),
    Column("final_time", _INSTANT),
    Column("leaf_index", BigInteger),
    Column("receipt", Text),
)
"""Customers that leave or have left: kept for ever, as the log is. It names nobody but the Customer."""

offboarding_work = Table(
    "offboarding_work",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("due_time", _INSTANT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("set_time", _INSTANT, nullable=False),
    Index(None, "due_time"),
)
"""Off-boardings that are not over. Ids only."""

job_leases = lease_table(METADATA)

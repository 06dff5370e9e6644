"""Tables of the retention service: the append-only log, deletions, what is left to do, cursors."""

import sqlalchemy as sa
from alembic import op

from services.runtime.jobs import lease_table
from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = "retention"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _log()
    _deletions()
    lease_table(sa.MetaData(schema=_SCHEMA)).create(op.get_bind())
    # Neither UPDATE nor DELETE: what was logged cannot be changed with the login of the running service.
    for table in ("log_leaves", "log_nodes", "log_checkpoints"):
        grant_runtime(table, ["SELECT", "INSERT"])
    tenant_policy("deletions")
    grant_runtime("deletions", ["SELECT", "INSERT", "UPDATE"])
    grant_runtime("deletion_work", ["SELECT", "INSERT", "UPDATE", "DELETE"])
    grant_runtime("cursors", ["SELECT", "INSERT", "UPDATE"])
    grant_runtime("job_leases", ["SELECT", "INSERT", "UPDATE"])


def _log() -> None:
    op.create_table(
        "log_leaves",
        sa.Column("leaf_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("leaf_data", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False, unique=True),
        sa.Column("append_time", _INSTANT, nullable=False),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("entry", sa.LargeBinary),
        schema=_SCHEMA,
    )
    op.create_table(
        "log_nodes",
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("level", "number"),
        schema=_SCHEMA,
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("sign_time", _INSTANT, nullable=False),
        schema=_SCHEMA,
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema=_SCHEMA,
    )


def _deletions() -> None:
    op.create_table(
        "deletions",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("deletion", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("request_digest", sa.LargeBinary),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("receive_time", _INSTANT, nullable=False),
        sa.Column("sealed_target", sa.LargeBinary),
        sa.Column("complete_time", _INSTANT),
        sa.Column("final_time", _INSTANT),
        sa.Column("record_count", sa.BigInteger),
        sa.Column("session_count", sa.BigInteger),
        sa.Column("leaf_index", sa.BigInteger),
        sa.Column("receipt", sa.Text),
        sa.Column("sealed_receipt", sa.LargeBinary),
        sa.Column("failure", sa.Text),
        sa.PrimaryKeyConstraint("tenant", "deletion"),
        sa.UniqueConstraint("tenant", "request_id"),
        schema=_SCHEMA,
    )
    op.create_table(
        "deletion_work",
        sa.Column("deletion", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index(None, "deletion_work", ["due_time"], schema=_SCHEMA)

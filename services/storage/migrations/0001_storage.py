"""Tables of the storage service.

Partitions are made by the service itself, day by day, on the owner's login: see `store.partitions`. The
runtime role has no rights on a partition: every row is reached through its parent, and so through its policy.
"""

import sqlalchemy as sa
from alembic import op

from services.runtime.jobs import lease_table
from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_BY_DAY = {"postgresql_partition_by": "RANGE (day)"}


def upgrade() -> None:
    _ledger()
    _sessions()
    _records()
    _accesses()
    _erasures()
    lease_table(sa.MetaData(schema="storage")).create(op.get_bind())
    for table in ("sessions", "records", "accesses", "erasures"):
        tenant_policy(table, "customer")
        grant_runtime(table, ["SELECT", "INSERT", "UPDATE"])
    grant_runtime("tenants", ["SELECT", "INSERT"])
    for table in ("days", "root_keys"):
        grant_runtime(table, ["SELECT", "INSERT", "UPDATE"])
    grant_runtime("destructions", ["SELECT", "INSERT"])
    grant_runtime("job_leases", ["SELECT", "INSERT", "UPDATE", "DELETE"])


def _ledger() -> None:
    op.create_table("tenants", sa.Column("customer", sa.Text, primary_key=True), schema="storage")
    op.create_table(
        "days",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("retention_days", sa.Integer),
        sa.Column("state", sa.Text, nullable=False),
        schema="storage",
    )
    op.create_table(
        "root_keys",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("slot", sa.SmallInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("destroy_time", _INSTANT),
        sa.PrimaryKeyConstraint("day", "slot"),
        schema="storage",
    )
    op.create_table(
        "destructions",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("slot", sa.SmallInteger, nullable=False),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.Column("destroy_time", _INSTANT, nullable=False),
        sa.Column("record_count", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("kind", "day", "slot"),
        schema="storage",
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("session", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("request_mac", sa.LargeBinary),
        sa.Column("subject_digest", sa.LargeBinary),
        sa.Column("notice_version", sa.Integer, nullable=False),
        sa.Column("purposes", sa.ARRAY(sa.SmallInteger), nullable=False),
        sa.Column("create_time", _INSTANT, nullable=False),
        sa.Column("close_time", _INSTANT, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("erasure", sa.Uuid),
        sa.Column("commitment", sa.LargeBinary),
        sa.Column("details", sa.LargeBinary),
        sa.PrimaryKeyConstraint("day", "session"),
        sa.UniqueConstraint("day", "customer", "request_id"),
        schema="storage",
        **_BY_DAY,
    )
    op.create_index(None, "sessions", ["day", "customer", "subject_digest"], schema="storage")


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("session", sa.Uuid, nullable=False),
        sa.Column("record", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("request_mac", sa.LargeBinary),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("notice_version", sa.Integer, nullable=False),
        sa.Column("receive_time", _INSTANT, nullable=False),
        sa.Column("expire_time", _INSTANT, nullable=False),
        sa.Column("size_class", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("erasure", sa.Uuid),
        sa.Column("object", sa.Text),
        sa.Column("commitment", sa.LargeBinary),
        sa.Column("details", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
        sa.PrimaryKeyConstraint("day", "session", "record"),
        sa.UniqueConstraint("day", "session", "request_id"),
        schema="storage",
        **_BY_DAY,
    )
    op.create_index(None, "records", ["day", "customer", "receive_time"], schema="storage")
    # Ciphertext does not compress: it is kept as it is.
    op.execute("ALTER TABLE storage.records ALTER COLUMN body SET STORAGE EXTERNAL")


def _accesses() -> None:
    op.create_table(
        "accesses",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("session", sa.Uuid, nullable=False),
        sa.Column("record", sa.Uuid, nullable=False),
        sa.Column("access", sa.Uuid, nullable=False),
        sa.Column("access_time", _INSTANT, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("commitment", sa.LargeBinary, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("day", "customer", "access"),
        schema="storage",
        **_BY_DAY,
    )


def _erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("erasure", sa.Uuid, nullable=False),
        sa.Column("request_mac", sa.LargeBinary, nullable=False),
        sa.Column("request_time", _INSTANT, nullable=False),
        sa.Column("step", sa.SmallInteger, nullable=False),
        sa.Column("commitment", sa.LargeBinary, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
        sa.Column("record_count", sa.BigInteger, nullable=False),
        sa.Column("session_count", sa.BigInteger, nullable=False),
        sa.Column("object_count", sa.BigInteger, nullable=False),
        sa.Column("erase_time", _INSTANT),
        sa.Column("final_time", _INSTANT),
        sa.PrimaryKeyConstraint("day", "customer", "erasure"),
        schema="storage",
        **_BY_DAY,
    )

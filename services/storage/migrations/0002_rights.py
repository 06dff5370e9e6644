"""Wide erasures, restrictions and opt-outs.

Additive: a replica of the release before goes on working. The partitions of days that are there already are
made by the service, see `Days.prepare`.
"""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_BY_DAY = {"postgresql_partition_by": "RANGE (day)"}


def upgrade() -> None:
    _columns()
    _of_a_day()
    _of_a_customer()
    for table in ("fences", "restrictions", "changes", "customer_keys", "opt_outs"):
        tenant_policy(table, "customer")
    for table in ("fences", "changes", "customer_keys"):
        grant_runtime(table, ["SELECT", "INSERT"])
    grant_runtime("restrictions", ["SELECT", "INSERT", "UPDATE"])
    grant_runtime("opt_outs", ["SELECT", "INSERT", "UPDATE", "DELETE"])


def _columns() -> None:
    op.add_column("sessions", sa.Column("restriction", sa.SmallInteger), schema="storage")
    op.add_column("sessions", sa.Column("opt_out", sa.ARRAY(sa.Text)), schema="storage")
    op.add_column("erasures", sa.Column("days_total", sa.Integer), schema="storage")
    op.add_column("erasures", sa.Column("days_done", sa.Integer), schema="storage")
    op.add_column("erasures", sa.Column("swept_day", sa.Date), schema="storage")
    op.add_column("erasures", sa.Column("swept_time", _INSTANT), schema="storage")


def _of_a_day() -> None:
    op.create_table(
        "fences",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("erasure", sa.Uuid, nullable=False),
        sa.Column("category", sa.Text),
        sa.Column("start_time", _INSTANT, nullable=False),
        sa.Column("end_time", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("day", "customer", "erasure"),
        schema="storage",
        **_BY_DAY,
    )
    op.create_table(
        "restrictions",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("subject_digest", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.SmallInteger, nullable=False),
        sa.Column("restricted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("day", "customer", "subject_digest"),
        schema="storage",
        **_BY_DAY,
    )
    op.create_table(
        "changes",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("request_mac", sa.LargeBinary, nullable=False),
        sa.Column("record_count", sa.BigInteger, nullable=False),
        sa.Column("answer_time", _INSTANT),
        sa.PrimaryKeyConstraint("day", "customer", "request_id"),
        schema="storage",
        **_BY_DAY,
    )


def _of_a_customer() -> None:
    op.create_table(
        "customer_keys",
        sa.Column("customer", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        schema="storage",
    )
    op.create_table(
        "opt_outs",
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("subject_digest", sa.LargeBinary, nullable=False),
        sa.Column("items", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("opt_out_time", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("customer", "subject_digest"),
        schema="storage",
    )

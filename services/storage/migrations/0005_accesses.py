"""Accesses in an order, with flags and totals.

Additive: a replica of the release before goes on adding accesses, which this one numbers; those that are
there already are numbered too. The partitions get column and index with their parent.
"""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("accesses", sa.Column("kind", sa.SmallInteger), schema="storage")
    op.add_column("accesses", sa.Column("position", sa.BigInteger), schema="storage")
    op.add_column("accesses", sa.Column("flags", sa.SmallInteger), schema="storage")
    op.create_index(
        "ix_storage_accesses_unnumbered",
        "accesses",
        ["customer"],
        schema="storage",
        postgresql_where=sa.text("position IS NULL"),
    )
    op.create_index("ix_storage_accesses_position", "accesses", ["customer", "position"], schema="storage")
    _of_a_customer()
    for table in ("access_heads", "access_totals", "access_windows"):
        tenant_policy(table, "customer")
    grant_runtime("access_heads", ["SELECT", "INSERT", "UPDATE"])
    for table in ("access_totals", "access_windows"):
        grant_runtime(table, ["SELECT", "INSERT", "UPDATE", "DELETE"])


def _of_a_customer() -> None:
    op.create_table(
        "access_heads",
        sa.Column("customer", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema="storage",
    )
    op.create_table(
        "access_totals",
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("purpose", sa.SmallInteger, nullable=False),
        sa.Column("access_count", sa.BigInteger, nullable=False),
        sa.Column("record_count", sa.BigInteger, nullable=False),
        sa.Column("bulk_count", sa.BigInteger, nullable=False),
        sa.Column("first_purpose", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("customer", "day", "service", "purpose"),
        schema="storage",
    )
    op.create_table(
        "access_windows",
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("start_time", _INSTANT, nullable=False),
        sa.Column("record_count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("customer", "service", "start_time"),
        schema="storage",
    )

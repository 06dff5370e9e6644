"""Customers that leave, and what is left to do about it. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SCHEMA = "retention"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "offboardings",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("receive_time", _INSTANT, nullable=False),
        sa.Column("close_time", _INSTANT),
        sa.Column("deletion", sa.Uuid),
        sa.Column("complete_time", _INSTANT),
        sa.Column("final_time", _INSTANT),
        sa.Column("leaf_index", sa.BigInteger),
        sa.Column("receipt", sa.Text),
        schema=_SCHEMA,
    )
    tenant_policy("offboardings")
    grant_runtime("offboardings", ["SELECT", "INSERT", "UPDATE"])
    op.create_table(
        "offboarding_work",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("set_time", _INSTANT, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index(None, "offboarding_work", ["due_time"], schema=_SCHEMA)
    grant_runtime("offboarding_work", ["SELECT", "INSERT", "UPDATE", "DELETE"])

"""End users' own requests that were relayed, and what is left to do about them."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCHEMA = "retention"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "relays",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("relay", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("case_number", sa.Text, nullable=False),
        sa.Column("receive_time", _INSTANT, nullable=False),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.Column("mail_state", sa.SmallInteger, nullable=False),
        sa.Column("remind_time", _INSTANT),
        sa.Column("resolve_time", _INSTANT),
        sa.PrimaryKeyConstraint("tenant", "relay"),
        sa.UniqueConstraint("tenant", "request_id"),
        sa.UniqueConstraint("tenant", "case_number"),
        schema=_SCHEMA,
    )
    op.create_table(
        "relay_work",
        sa.Column("relay", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index(None, "relay_work", ["due_time"], schema=_SCHEMA)
    tenant_policy("relays")
    grant_runtime("relays", ["SELECT", "INSERT"])
    # What was asked for, when, and until when it is due is never rewritten.
    grant_runtime("relays", ["UPDATE"], ["mail_state", "remind_time", "resolve_time"])
    grant_runtime("relay_work", ["SELECT", "INSERT", "UPDATE", "DELETE"])

"""The outbox of messages to Customers' webhooks. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0004"
down_revision = "0003"

_SCHEMA = "notice"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("webhook", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("uri", sa.Text),
        sa.Column("content", sa.LargeBinary),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("state_time", _INSTANT, nullable=False),
        sa.Column("create_time", _INSTANT, nullable=False),
        sa.Column("reply", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "webhook"),
        sa.UniqueConstraint("tenant", "request_id"),
        schema=_SCHEMA,
    )
    op.create_table(
        "webhook_work",
        sa.Column("webhook", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index(None, "webhook_work", ["due_time"], schema=_SCHEMA)
    tenant_policy("webhooks")
    grant_runtime("webhooks", ["SELECT", "INSERT"])
    # For whom and under which id is never rewritten; the address may only be forgotten with the content.
    grant_runtime("webhooks", ["UPDATE"], ["uri", "content", "state", "state_time", "reply", "attempts"])
    grant_runtime("webhook_work", ["SELECT", "INSERT", "UPDATE", "DELETE"])

"""Customers' accounts, the calls that changed them, and the outbox of mail."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0002"
down_revision = "0001"

_SCHEMA = "notice"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _accounts()
    _mail()
    for table in ("customers", "customer_requests", "mails"):
        tenant_policy(table)
    grant_runtime("customer_ids", ["SELECT", "INSERT"])
    grant_runtime("customers", ["SELECT", "INSERT", "UPDATE"])
    grant_runtime("customer_requests", ["SELECT", "INSERT"])
    grant_runtime("mails", ["SELECT", "INSERT"])
    # To whom, what kind and when first asked for is never rewritten: that is what evidence rests on.
    grant_runtime("mails", ["UPDATE"], ["content", "state", "state_time", "reply", "attempts"])
    grant_runtime("mail_work", ["SELECT", "INSERT", "UPDATE", "DELETE"])


def _accounts() -> None:
    op.create_table("customer_ids", sa.Column("tenant", sa.Text, primary_key=True), schema=_SCHEMA)
    op.create_table(
        "customers",
        sa.Column("tenant", sa.Text, sa.ForeignKey("notice.customer_ids.tenant"), primary_key=True),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("optional_items", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("webhook_uri", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("create_time", _INSTANT, nullable=False),
        sa.Column("state_time", _INSTANT, nullable=False),
        schema=_SCHEMA,
    )
    op.create_table(
        "customer_requests",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "request_id"),
        schema=_SCHEMA,
    )


def _mail() -> None:
    op.create_table(
        "mails",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("mail", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("state_time", _INSTANT, nullable=False),
        sa.Column("reply", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("create_time", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "mail"),
        sa.UniqueConstraint("tenant", "request_id"),
        schema=_SCHEMA,
    )
    op.create_table(
        "mail_work",
        sa.Column("mail", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index(None, "mail_work", ["due_time"], schema=_SCHEMA)

"""Deliveries of versions with their counts and evidence, and acknowledgements."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0003"
down_revision = "0002"

_SCHEMA = "notice"
_INSTANT = sa.DateTime(timezone=True)
_COUNTS = ("held", "queued", "accepted", "bounced", "failed", "covered", "told_accepted", "told_covered")


def upgrade() -> None:
    _audiences()
    _deliveries()
    _evidence()
    for table in ("delivery_evidence", "acknowledgements"):
        tenant_policy(table)
    for table in ("audiences", "deliveries", "delivery_evidence", "acknowledgements"):
        grant_runtime(table, ["SELECT", "INSERT"])
    # Who was in the audience is never rewritten, nor an acknowledgement: evidence rests on that.
    times = ["complete_time", "pause_time", "website_time", "pace_time", "pace_queued"]
    grant_runtime("audiences", ["UPDATE"], [*_COUNTS, *times])
    changing = ["state", "held", "attempts", "create_time", "state_time", "due_time"]
    grant_runtime("deliveries", ["UPDATE"], changing)
    grant_runtime("delivery_evidence", ["UPDATE"], ["state", "reply", "reply_time"])


def _audiences() -> None:
    op.create_table(
        "audiences",
        sa.Column(
            "version",
            sa.Integer,
            sa.ForeignKey("notice.versions.number"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("audience", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        sa.Column("complete_time", _INSTANT),
        sa.Column("pause_time", _INSTANT),
        sa.Column("website_time", _INSTANT),
        sa.Column("pace_time", _INSTANT, nullable=False),
        sa.Column("pace_queued", sa.BigInteger, nullable=False),
        schema=_SCHEMA,
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("audience", sa.Boolean, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("create_time", _INSTANT, nullable=False),
        sa.Column("state_time", _INSTANT, nullable=False),
        sa.Column("due_time", _INSTANT),
        sa.PrimaryKeyConstraint("version", "tenant"),
        schema=_SCHEMA,
    )
    due, failed = sa.text("due_time IS NOT NULL"), sa.text("state = 4")
    op.create_index(
        "ix_deliveries_due", "deliveries", ["version", "due_time"], schema=_SCHEMA, postgresql_where=due
    )
    op.create_index(
        "ix_deliveries_failed", "deliveries", ["version"], schema=_SCHEMA, postgresql_where=failed
    )


def _evidence() -> None:
    op.create_table(
        "delivery_evidence",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("reply_time", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "version", "recipient"),
        schema=_SCHEMA,
    )
    op.create_table(
        "acknowledgements",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("channel", sa.SmallInteger, nullable=False),
        sa.Column("acknowledge_time", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "version", "kind"),
        schema=_SCHEMA,
    )

"""Versions of the notice, their texts, their changes of state, and the calls that were answered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from services.runtime.migrations import grant_runtime

revision = "0001"
down_revision = None

SCHEMA = "notice"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "versions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("terms", JSONB, nullable=False),
        sa.Column("terms_yaml", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("material", sa.Boolean),
        sa.Column("create_time", INSTANT, nullable=False),
        sa.Column("announce_time", INSTANT),
        sa.Column("effective_time", INSTANT),
        sa.Column("clear_time", INSTANT),
        sa.Column("withdraw_time", INSTANT),
        sa.CheckConstraint(
            "(announce_time IS NULL) = (effective_time IS NULL)", name="versions_announced_with_an_instant"
        ),
        sa.CheckConstraint(
            "announce_time IS NOT NULL OR clear_time IS NULL", name="versions_cleared_only_if_announced"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "texts",
        sa.Column("number", sa.Integer, sa.ForeignKey("notice.versions.number"), primary_key=True),
        sa.Column("language", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("markdown", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "changes",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, sa.ForeignKey("notice.versions.number"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("change_time", INSTANT, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        schema=SCHEMA,
    )
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("number", sa.Integer, sa.ForeignKey("notice.versions.number"), nullable=False),
        schema=SCHEMA,
    )
    for table in ("texts", "changes", "requests"):
        grant_runtime(table, ["SELECT", "INSERT"])
    grant_runtime("versions", ["SELECT", "INSERT"])
    # What was published is never rewritten: the running service may only fill in instants.
    instants = ["material", "announce_time", "effective_time", "clear_time", "withdraw_time"]
    grant_runtime("versions", ["UPDATE"], instants)

"""Cosignatures of the log's checkpoints, and the daily statements. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "log_cosignatures",
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("witness", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("cosign_time", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("size", "witness"),
        schema="retention",
    )
    op.create_index(None, "log_cosignatures", ["witness", "size"], schema="retention")
    op.create_table(
        "statements",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("leaf_index", sa.BigInteger, nullable=False),
        sa.Column("make_time", _INSTANT, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        schema="retention",
    )
    for table in ("log_cosignatures", "statements"):  # as the log: neither UPDATE nor DELETE
        grant_runtime(table, ["SELECT", "INSERT"])

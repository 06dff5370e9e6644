"""How far a Customer was told of a deletion's end, and what is left to do about that. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SCHEMA = "retention"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in ("mail_state", "webhook_state"):
        op.add_column("deletions", sa.Column(column, sa.SmallInteger), schema=_SCHEMA)
    op.create_table(
        "completion_work",
        sa.Column("deletion", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("set_time", _INSTANT, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index(None, "completion_work", ["due_time"], schema=_SCHEMA)
    grant_runtime("completion_work", ["SELECT", "INSERT", "UPDATE", "DELETE"])

"""Exports under way: what each is to hold and what of it was written, sealed, for a day. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SCHEMA = "retention"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("request_digest", sa.LargeBinary, nullable=False),
        sa.Column("start_time", _INSTANT, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("planned", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "request_id"),
        schema=_SCHEMA,
    )
    op.create_table(
        "export_rows",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "request_id", "kind", "number"),
        schema=_SCHEMA,
    )
    op.create_table(
        "export_work",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("due_time", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "request_id"),
        schema=_SCHEMA,
    )
    op.create_index(None, "export_work", ["due_time"], schema=_SCHEMA)
    for table in ("exports", "export_rows"):
        tenant_policy(table)
    grant_runtime("exports", ["SELECT", "INSERT", "DELETE"])
    grant_runtime("exports", ["UPDATE"], ["attempt", "planned"])
    grant_runtime("export_rows", ["SELECT", "INSERT", "DELETE"])
    # A row is locked while its export is forgotten, which takes the right to change one.
    grant_runtime("export_work", ["SELECT", "INSERT", "UPDATE", "DELETE"])

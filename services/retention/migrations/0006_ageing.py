"""Ended deletions and relays age to their end; a due time tells when it was decided on. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SCHEMA = "retention"
_ENDED = {
    "deletions": "INSERT INTO retention.deletion_work (deletion, tenant, due_time, attempts)"
    " SELECT deletion, tenant, complete_time, 0 FROM retention.deletions WHERE complete_time IS NOT NULL"
    " ON CONFLICT DO NOTHING",
    "relays": "INSERT INTO retention.relay_work (relay, tenant, due_time, attempts)"
    " SELECT relay, tenant, due_time, 0 FROM retention.relays ON CONFLICT DO NOTHING",
}


def upgrade() -> None:
    for table in ("deletion_work", "relay_work"):
        op.add_column(table, sa.Column("set_time", sa.DateTime(timezone=True)), schema=_SCHEMA)
    for table, fill in _ENDED.items():
        grant_runtime(table, ["DELETE"])
        # The owner is walled like everyone, and nobody can look while this transaction holds the table.
        op.execute(f"ALTER TABLE {_SCHEMA}.{table} NO FORCE ROW LEVEL SECURITY")
        op.execute(fill)
        op.execute(f"ALTER TABLE {_SCHEMA}.{table} FORCE ROW LEVEL SECURITY")

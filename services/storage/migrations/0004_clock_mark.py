"""How far scheduled destruction may go, by clocks that agreed. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.clock_guard import mark_table
from services.runtime.migrations import grant_runtime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    mark_table(sa.MetaData(schema="storage")).create(op.get_bind())
    grant_runtime("clock_marks", ["SELECT", "INSERT", "UPDATE"])

"""Progress and outcomes of deletions that take long or have several targets. Additive."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deletions", sa.Column("progress_done", sa.Integer), schema="retention")
    op.add_column("deletions", sa.Column("progress_total", sa.Integer), schema="retention")
    op.add_column("deletions", sa.Column("outcomes", JSONB), schema="retention")

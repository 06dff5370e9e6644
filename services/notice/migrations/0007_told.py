"""How the audience of a version had been told when its gate cleared: counts, for the log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("changes", sa.Column("told", JSONB), schema="notice")

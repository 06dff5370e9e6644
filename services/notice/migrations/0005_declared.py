"""What the author of an announcement said of the change, beside the reason."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    column = sa.Column("declared", sa.SmallInteger, nullable=False, server_default="0")
    op.add_column("changes", column, schema="notice")

"""What an erasure was of is forgotten when it is done.

Additive: a replica of the release before keeps what it seals, and reads no target of an erasure that is done.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DONE = 5


def upgrade() -> None:
    op.alter_column("erasures", "details", nullable=True, schema="storage")
    # The owner is walled like everyone, and nobody can look while this transaction holds the table.
    op.execute("ALTER TABLE storage.erasures NO FORCE ROW LEVEL SECURITY")
    op.execute(
        sa.text("UPDATE storage.erasures SET details = NULL WHERE step = :done").bindparams(done=_DONE)
    )
    op.execute("ALTER TABLE storage.erasures FORCE ROW LEVEL SECURITY")

"""The id of an off-boarded Customer is kept for ever, so nobody may remove one."""

from alembic import op

from services.runtime.migrations import runtime_role

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(f"REVOKE DELETE ON notice.customer_ids FROM {runtime_role('notice')}")

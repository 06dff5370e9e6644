"""Customers that were closed; their opt-outs and keys may be removed. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime, tenant_policy

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "closed_customers",
        sa.Column("customer", sa.Text, primary_key=True),
        sa.Column("close_time", sa.DateTime(timezone=True), nullable=False),
        schema="storage",
    )
    tenant_policy("closed_customers", "customer")
    grant_runtime("closed_customers", ["SELECT", "INSERT"])
    grant_runtime("customer_keys", ["DELETE"])

"""An id tells whether its Customer was off-boarded: such an id is told of no version. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.migrations import grant_runtime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    column = sa.Column("offboarded", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("customer_ids", column, schema="notice")
    grant_runtime("customer_ids", ["UPDATE"], ["offboarded"])
    # Accounts are closed to a transaction that names no Customers: this one names all of them.
    op.execute(
        "SELECT set_config('idv.tenants', coalesce(string_agg(tenant, ','), ''), true)"
        " FROM notice.customer_ids"
    )
    op.execute(
        "UPDATE notice.customer_ids AS i SET offboarded = true FROM notice.customers AS c"
        " WHERE c.tenant = i.tenant AND c.state = 3"
    )
    op.execute("SELECT set_config('idv.tenants', '', true)")

"""Evidence, former addresses and ended accounts age; a due time tells when it was decided on. Additive."""

import sqlalchemy as sa
from alembic import op

from services.runtime.jobs import lease_table
from services.runtime.migrations import grant_runtime

revision = "0006"
down_revision = "0005"

_SCHEMA = "notice"
_ADDED = {
    "set_time": ("mail_work", "webhook_work", "deliveries"),
    "replace_time": ("mails", "delivery_evidence"),
    "age_time": ("customer_requests",),
}
_ENDING = (
    *("mails", "webhooks", "customer_requests", "deliveries", "delivery_evidence", "acknowledgements"),
    *("customers", "customer_ids"),
)


def upgrade() -> None:
    lease_table(sa.MetaData(schema=_SCHEMA)).create(op.get_bind())
    grant_runtime("job_leases", ["SELECT", "INSERT", "UPDATE"])
    for name, tables in _ADDED.items():
        for table in tables:
            op.add_column(table, sa.Column(name, sa.DateTime(timezone=True)), schema=_SCHEMA)
    grant_runtime("deliveries", ["UPDATE"], ["set_time"])
    grant_runtime("customer_requests", ["UPDATE"], ["age_time"])
    # An address that was replaced is emptied; nothing else about to whom something went is rewritten.
    for table in ("mails", "delivery_evidence"):
        grant_runtime(table, ["UPDATE"], ["recipient", "replace_time"])
    for table in _ENDING:
        grant_runtime(table, ["DELETE"])

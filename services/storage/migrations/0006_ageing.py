"""What is kept of a day ends years after its data. Additive."""

from services.runtime.migrations import grant_runtime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("destructions", "root_keys", "days"):
        grant_runtime(table, ["DELETE"])

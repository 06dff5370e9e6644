"""A Customer deletes everything of one end user, keeps the receipt, and verifies it offline.

python examples/python/delete_and_verify.py user-17 receipt.json
"""

import sys
from pathlib import Path

from idv import receipts
from idv.client import Gateway
from idv.requests import new_id
from local import AUTHORITY, READY, address

subject, file = sys.argv[1], Path(sys.argv[2])
request_id = new_id()  # keep it with your own records: it is what shows later whom the receipt is of
with Gateway("acme", address("ingest"), address("retention"), AUTHORITY, READY["tokens"]["acme"]) as acme:
    deleted = acme.delete({"subject": subject}, request_id=request_id)
    assert not list(acme.records(subject=subject))
file.write_text(deleted.deletion.receipt.json)

# From here on without any connection: the log's public key, the receipt, and what was asked for.
proven = receipts.verify(file.read_bytes(), READY["log_public_key"])
assert proven.covers(request_id, {"subject": subject})
print(f"{deleted.deletion.record_count} records deleted; no copy opens after {proven.final_time}")

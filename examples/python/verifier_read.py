"""A verification engine reads a record, with its certificate and for a purpose; its Customer sees the access.

python examples/python/verifier_read.py customers/acme/sessions/…/records/… selfie-as-stored.jpg
"""

import sys
from pathlib import Path

from idv.client import Verifier
from idv.errors import IdvError
from idv.types.v1.processing_pb2 import PURPOSE_TROUBLESHOOTING, PURPOSE_VERIFICATION
from local import address, certificate

record, file = sys.argv[1], Path(sys.argv[2])
with Verifier(address("storage", "mtls"), certificate("service:verification")) as verifier:
    opened = verifier.read(record, PURPOSE_VERIFICATION)
    file.write_bytes(opened.body)
    print(opened.record.category, opened.record.media_type, f"{len(opened.body)} bytes")
    try:
        verifier.read(record, PURPOSE_TROUBLESHOOTING)
    except IdvError as refused:
        print(f"{refused.reason_name}: {refused.message}; {refused.remedy}")

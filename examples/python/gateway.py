"""A Customer's gateway opens a session for one end user and hands name and upload token to its mobile SDK.

python examples/python/gateway.py user-17 > session.json
"""

import json
import sys

from google.protobuf.timestamp_pb2 import Timestamp
from idv.client import Gateway
from idv.types.v1.processing_pb2 import LEGAL_BASIS_CONSENT, Attestation
from local import AUTHORITY, READY, address

ITEMS = ["device.hardware", "device.hardware.idfv", "face_image"]  # an optional item is asked for by its code

subject = sys.argv[1]
now = Timestamp()
now.GetCurrentTime()
attestation = Attestation(
    reference="consent-4711",  # your own evidence that the end user authorised this
    attest_time=now,
    legal_basis=LEGAL_BASIS_CONSENT,
    explicit_consent=True,  # needed for faces and documents
    items=ITEMS,
    notice_version=1,  # the version that the end user was shown
)
with Gateway("acme", address("ingest"), address("retention"), AUTHORITY, READY["tokens"]["acme"]) as acme:
    session = acme.open_session(subject, ITEMS, attestation)
json.dump({"session": session.name, "upload_token": session.token}, sys.stdout)

"""What each party knows, taken from the ready file of a stack such as `make up` starts."""

import json
import os
from pathlib import Path
from typing import Any

from idv.channel import Credentials

READY: dict[str, Any] = json.loads(Path(os.environ.get("IDV_CONNECT", ".idv/ready.json")).read_text())
AUTHORITY = Credentials.read(Path(READY["ca"]))


def address(service: str, port: str = "tls") -> str:
    """`host:port` of a service: `tls` takes tokens, `mtls` certificates."""
    return str(READY["services"][service][port])


def certificate(identity: str) -> Credentials:
    """The certificate of `service:NAME` or `customer:ID`."""
    files = READY["certificates"][identity]
    return Credentials.read(Path(READY["ca"]), Path(files["certificate"]), Path(files["private_key"]))

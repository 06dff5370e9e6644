"""`idv submit`: sends typed items from a JSON or YAML file to a session."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from google.protobuf import json_format
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.types.v1 import data_pb2

from services.cli.client import CALL_SECONDS, Suite, uploader
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.failure import usage
from services.cli.messages import plain
from services.cli.output import Output
from services.cli.records import records_shown
from services.cli.requests import request_id_or_derived
from services.cli.session import kept
from services.local.ready import Ready

app = group("Send typed items (device, permissions, log) to a session.")

EXAMPLE = """\
# Each part becomes one sealed record. Leave out what the session does not ask for.
# Every field there is: `protos/idv/types/v1/data.proto`; what has no field there cannot be sent.
device_hardware:
  manufacturer: Example Devices
  model: X-100
  operating_system: ExampleOS 14.2
  memory_bytes: 8589934592
  battery_percent: 81
  screen_width: 1080
  screen_height: 2400
  time_zone: Europe/Berlin
  language: de-DE
device_network:
  carrier: Example Mobile
  network_type: NETWORK_TYPE_WIFI
  sim_status: SIM_STATUS_READY
host_application:
  name: Example Bank
  version: 7.4.1
device_permissions:
  permissions:
    - {name: android.permission.CAMERA, granted: true}
log_data:
  events:
    - {event_time: "2026-11-24T09:30:00Z", severity: LOG_SEVERITY_INFO, event: capture.face.started}
"""
"""A file of items to begin with; a test sends it."""


@command(
    app,
    "submit",
    [
        ("A file to begin with", "idv submit --example > items.yaml"),
        ("Send it, as the SDK on the device would", "idv submit session.json items.yaml"),
        ("Send log data as the Customer's gateway", "idv submit session.json log.yaml --as customer:acme"),
    ],
)
async def submit(
    session: Annotated[
        str | None, typer.Argument(help="The file that `session create --save` wrote, or the session's name.")
    ] = None,
    items: Annotated[Path | None, typer.Argument(help="JSON or YAML; `-` reads standard input.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print an example file and stop.")] = False,
    token: Annotated[
        str | None,
        typer.Option(envvar="IDV_UPLOAD_TOKEN", help="The session's upload token, when given by name."),
    ] = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Send the items of one file; every record reported is durable.

    Default caller: the SDK, by the upload token.
    """
    if example:
        print(EXAMPLE, end="")
        return
    if session is None or items is None:
        raise usage(
            "session and items are needed", "give both; `idv submit --example` prints a file to begin with"
        )
    item_set = parse(sys.stdin.read() if str(items) == "-" else items.read_text())
    name, known = kept(session)
    async with Suite(Ready.read(connect)) as suite:
        who, session_token = uploader(suite, identity, token or known)
        request = ingest_pb2.SubmitItemsRequest(
            session=name,
            session_token=session_token,
            request_id=request_id_or_derived(
                request_id, name.encode(), item_set.SerializeToString(deterministic=True)
            ),
            items=item_set,
        )
        answer = await suite.stub(IngestServiceStub, "ingest", who).SubmitItems(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, **plain(answer)}
    Output(as_json).answer(value, *records_shown(answer.records))


def parse(text: str) -> data_pb2.ItemSet:
    """The items in a JSON or YAML text.

    Raises a usage error that names the field at fault, never its value.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict) or not document:
        raise usage("the file holds no items in JSON or YAML", "begin with `idv submit --example`")
    _check_fields(document, data_pb2.ItemSet.DESCRIPTOR, "items")
    try:
        return json_format.ParseDict(_texts(document), data_pb2.ItemSet())
    except json_format.ParseError:
        raise usage(
            "an item in the file has a value of another type than its field", "compare `--example`"
        ) from None


def _check_fields(value: Any, descriptor: Any, path: str) -> None:
    if isinstance(value, list):
        for index, part in enumerate(value):
            _check_fields(part, descriptor, f"{path}[{index}]")
    if not isinstance(value, Mapping) or descriptor is None or descriptor.full_name.startswith("google."):
        return
    for name, part in value.items():
        field = descriptor.fields_by_name.get(str(name))
        if field is None:
            raise usage(
                f"{path} has no field {str(name)[:64]!r}, and what the notice does not list cannot be sent",
                "remove it",
                field=path,
            )
        _check_fields(part, field.message_type, f"{path}.{name}")


def _texts(value: Any) -> Any:
    """YAML's times as the text that the contract's JSON form takes."""
    if isinstance(value, Mapping):
        return {str(name): _texts(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_texts(part) for part in value]
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value

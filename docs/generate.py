"""Writes the reference pages that code knows better than people (`make docs`); a test holds them to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Final, get_args

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from idv.ingest.v1 import ingest_pb2
from idv.notice.v1 import customers_pb2, deliveries_pb2, notice_pb2
from idv.retention.v1 import deletions_pb2, log_pb2, rights_pb2
from idv.storage.v1 import storage_pb2
from idv.types.v1 import access_pb2, data_pb2, errors_pb2, item_pb2
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from services.runtime.settings import ServiceSettings

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
SERVICES: Final = ("ingest", "storage", "retention", "notice")
CONTRACTS: Final = (
    ("ingest", ingest_pb2),
    ("storage", storage_pb2),
    ("retention", deletions_pb2),
    ("retention", log_pb2),
    ("retention", rights_pb2),
    ("notice", notice_pb2),
    ("notice", customers_pb2),
    ("notice", deliveries_pb2),
)

CONTRACTS_HEAD: Final = """# Contracts

Made by `make docs` from the contracts themselves; the texts stand in the `.proto` files under `protos/idv`.

Resource names: `customers/{customer}/sessions/{session}/records/{record}`,
`customers/{customer}/deletions/{deletion}`, `notices/{number}`. Every mutation takes a `request_id` (a
UUID): a repeat with the same content returns the first answer, one with other content is refused with
`REQUEST_ID_REUSED`. Pages follow `page_size` and `page_token`. Times are UTC.

Errors are `google.rpc.Status` with `ErrorInfo` (domain `idv`, the reasons below), `BadRequest` for fields
and `RetryInfo` where a retry helps. Branch on the reason, never on the message.
"""

CONFIGURATION_HEAD: Final = """# Configuration

Made by `make docs` from the settings classes. Each service reads a TOML or YAML file (`idv serve SERVICE
--config FILE`) and then the environment, which wins: `IDV_<SERVICE>_` and the setting's name in capitals,
parts joined by two underscores, such as `IDV_STORAGE_OBJECTS__ENDPOINT`. Everything is checked at start,
and every fault is named at once with its remedy; `idv serve SERVICE --config FILE --check` only checks.
"""


def _sentence(element: Any) -> str:
    """An element's comment is in its .proto, which the generated code leaves out: read it from there."""
    home = element.containing_service if isinstance(element, MethodDescriptor) else element
    lines = (ROOT / "protos" / home.file.name).read_text().splitlines()
    marker = f"{'rpc' if isinstance(element, MethodDescriptor) else 'service'} {element.name}"
    at = next(
        number for number, line in enumerate(lines) if line.strip().startswith((f"{marker}(", f"{marker} "))
    )
    comment: list[str] = []
    while lines[at - 1].strip().startswith("//"):
        at -= 1
        comment.insert(0, lines[at].strip().removeprefix("//").strip())
    return " ".join(comment)


def _callers(method: MethodDescriptor) -> str:
    rule = method.GetOptions().Extensions[access_pb2.access]
    callers = []
    if rule.anyone:
        callers.append("anyone")
    if rule.customer:
        callers.append(f"the Customer itself (scope `{rule.scope}`)")
    if rule.session_token:
        callers.append("the session's upload token")
    callers += [f"service `{name}`" for name in rule.services]
    return ", ".join(callers)


def _methods(service: ServiceDescriptor) -> Iterator[str]:
    yield f"\n### `{service.full_name}`\n\n{_sentence(service)}\n\n"
    yield "| method | who may call | what it does |\n|---|---|---|\n"
    for method in service.methods:
        kind = {(True, False): " ⇡", (False, True): " ⇣"}.get(
            (method.client_streaming, method.server_streaming), ""
        )
        yield f"| `{method.name}`{kind} | {_callers(method)} | {_sentence(method)} |\n"


def contracts() -> str:
    """The page of services, reasons and data items."""
    parts = [CONTRACTS_HEAD, "\n## Services\n\n⇡ streams requests, ⇣ streams answers.\n"]
    for _, module in CONTRACTS:
        for service in module.DESCRIPTOR.services_by_name.values():
            parts += _methods(service)
    parts.append("\n## Data items\n\n| category | item | optional |\n|---|---|---|\n")
    for message in data_pb2.DESCRIPTOR.message_types_by_name.values():
        category = message.GetOptions().Extensions[item_pb2.category]
        items = {field.GetOptions().Extensions[item_pb2.item].code: field for field in message.fields}
        for code, field in items.items() if category else ():
            optional = field.GetOptions().Extensions[item_pb2.item].optional
            parts.append(f"| `{category}` | `{code}` | {'yes' if optional else ''} |\n")
    parts.append("\n## Reasons\n\n| reason | gRPC status |\n|---|---|\n")
    statuses = import_module("grpc").StatusCode
    names = {status.value[0]: status.name for status in statuses}
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values:
        number: int = value.GetOptions().Extensions[errors_pb2.grpc_code]
        if value.number:
            parts.append(f"| `{value.name.removeprefix('ERROR_REASON_')}` | {names[number]} |\n")
    return "".join(parts)


def _settings(fields: Mapping[str, FieldInfo], prefix: str, path: str = "", given: str = "") -> Iterator[str]:
    for name, field in fields.items():
        inner = next(
            (part for part in (field.annotation, *get_args(field.annotation)) if _is_part(part)), None
        )
        if inner is not None:
            optional = f" with `{path}{name}`" if field.default is None else ""
            yield from _settings(inner.model_fields, prefix, f"{path}{name}.", optional)
            continue
        variable = prefix + f"{path.replace('.', '__')}{name}".upper()
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = f"**required**{given}" if default is PydanticUndefined else f"`{_plain(default)}`"
        meaning = " ".join((field.description or "").split())
        yield f"| `{path}{name}` | `{variable}` | {shown} | {meaning} |\n"


def _is_part(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return "none" if value is None or isinstance(value, SecretStr) else value


def configuration() -> str:
    """The page of every setting: those of all services once, then what each adds or requires."""
    table = "\n## {}\n\n| setting | environment | default | meaning |\n|---|---|---|---|\n"
    parts = [CONFIGURATION_HEAD, table.format("every service")]
    shared = ServiceSettings.model_fields
    parts += _settings(shared, "IDV_<SERVICE>_")
    for service in SERVICES:
        module = import_module(f"services.{service}.settings")
        settings: type[ServiceSettings] = getattr(module, f"{service.capitalize()}Settings")
        fields = settings.model_fields
        own = {
            name: field
            for name, field in fields.items()
            if name not in shared or _differs(field, shared[name])
        }
        parts.append(table.format(service))
        parts += _settings(own, str(settings.model_config.get("env_prefix")))
    return "".join(parts)


def _differs(field: FieldInfo, base: FieldInfo) -> bool:
    return field.is_required() != base.is_required()


PAGES: Final = {"contracts.md": contracts, "configuration.md": configuration}


def main() -> None:
    """Writes every page; with `--check` only says which are not as they should be, and exits with 1."""
    stale = [
        name
        for name, page in PAGES.items()
        if not (HERE / name).exists() or (HERE / name).read_text() != page()
    ]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"not what the code says: docs/{', docs/'.join(stale)}; run 'make docs' and commit")
        return
    for name in stale:
        (HERE / name).write_text(PAGES[name]())


if __name__ == "__main__":
    main()

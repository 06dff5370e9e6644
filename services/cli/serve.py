"""`idv serve`: runs one of the four services in this process."""

from __future__ import annotations

import enum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from idv.errors import FieldViolation, IdvError, Reason

from services.cli.command import Json, command, group
from services.cli.failure import unavailable
from services.cli.output import Output
from services.runtime.settings import ServiceSettings
from services.runtime.settings_loading import SettingsError, load_settings

app = group("Run one of the four services.")


class Service(enum.StrEnum):
    """A service of the suite."""

    INGEST = "ingest"
    STORAGE = "storage"
    RETENTION = "retention"
    NOTICE = "notice"


@command(
    app,
    "serve",
    [
        ("From a settings file", "idv serve storage --config storage.yaml"),
        ("From the environment alone", "IDV_NOTICE_DEPLOYMENT=acme … idv serve notice"),
        ("Check the settings and stop", "idv serve ingest --config ingest.yaml --check"),
    ],
)
def serve(
    service: Annotated[Service, typer.Argument(help="Which.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings as TOML or YAML; the environment wins over it."
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the whole configuration, then stop.")] = False,
    as_json: Json = False,
) -> None:
    """Run a service until it is told to stop (SIGTERM or Ctrl-C); it then drains and ends."""
    settings = load(service, config)
    if check:
        Output(as_json).answer(
            {"service": service.value, "settings": "good"}, f"The settings of {service.value} are good."
        )
        return
    import uvloop

    try:
        uvloop.run(import_module(f"services.{service.value}.main").main(settings))
    except Exception as error:
        if not type(error).__module__.startswith("services."):
            raise  # nobody foresaw it: its trace is what helps
        raise unavailable(
            f"{service.value} cannot start: {error}", "correct this and start it again"
        ) from error


def load(service: Service, config: Path | None) -> ServiceSettings:
    """The settings of a service. Raises IdvError that names every fault."""
    try:
        return load_settings(_class(service), config)
    except SettingsError as error:
        raise settings_refused(service, error) from None


def _class(service: Service) -> type[ServiceSettings]:
    module = import_module(f"services.{service.value}.settings")
    settings: type[ServiceSettings] = getattr(module, f"{service.value.capitalize()}Settings")
    return settings


def settings_refused(service: Service, error: SettingsError) -> IdvError:
    """Settings that cannot be used, as an error with one violation for each fault."""
    faults = [FieldViolation(fault.field, f"{fault.problem} ({fault.remedy})") for fault in error.faults]
    first = error.faults[0]
    many = f"{len(faults)} faults" if len(faults) > 1 else f"{first.field}: {first.problem}"
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        f"the settings of {service.value} cannot be used, {many}",
        remedy="correct each as said below" if len(faults) > 1 else first.remedy,
        violations=faults,
    )

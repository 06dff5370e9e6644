"""Reading settings, checked whole: from the environment over a TOML or YAML file.

A variable is named `IDV_<SERVICE>_<SETTING>`, nested settings by `__`: `IDV_STORAGE_DATABASE__POOL_SIZE`.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource
from pydantic_settings import SettingsError as UnreadableVariableError

from services.runtime.settings import ServiceSettings


class Fault(NamedTuple):
    """One thing wrong with the settings."""

    field: str
    problem: str
    remedy: str


class SettingsError(Exception):
    """The settings cannot be used: `faults` lists everything that is wrong, and quotes no secret."""

    def __init__(self, faults: list[Fault]) -> None:
        lines = [f"  - {fault.field}: {fault.problem} ({fault.remedy})" for fault in faults]
        super().__init__(f"{len(faults)} fault(s) in the settings:\n" + "\n".join(lines))
        self.faults = faults


_S = TypeVar("_S", bound=ServiceSettings)


def load_settings(cls: type[_S], file: Path | None = None) -> _S:
    """The settings of `cls`; the environment wins over the file. Raises SettingsError with every fault."""
    values, faults = _read(file)
    prefix = str(cls.model_config.get("env_prefix", ""))
    faults += _unknown_variables(cls, prefix)
    try:
        settings = cls(**_merge(values, EnvSettingsSource(cls)()))
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        faults += [_fault(dict(detail), prefix) for detail in details]
        raise SettingsError(faults) from None  # the cause would quote the input
    except UnreadableVariableError as error:
        remedy = f"write JSON, or set {prefix}…__… one by one"
        raise SettingsError([*faults, Fault("environment", str(error), remedy)]) from None
    if faults:
        raise SettingsError(faults)
    return settings


def _read(file: Path | None) -> tuple[dict[str, Any], list[Fault]]:
    if file is None:
        return {}, []
    try:
        text = file.read_text(encoding="utf-8")
        values = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        return {}, [
            Fault("--config", f"{file} cannot be read: {error.strerror}", "name a readable TOML or YAML file")
        ]
    except (ValueError, yaml.YAMLError):
        return {}, [Fault("--config", f"{file} is not valid {file.suffix or 'YAML'}", "correct its syntax")]
    if values is not None and not isinstance(values, dict):
        return {}, [Fault("--config", f"{file} holds no table of settings", "write one 'name: value' a line")]
    return values or {}, []


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = _merge(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _unknown_variables(cls: type[ServiceSettings], prefix: str) -> list[Fault]:
    if not prefix:
        return []
    known = {name.upper() for name in cls.model_fields}
    return [
        Fault(name, "no such setting", "correct the name or unset the variable")
        for name in sorted(os.environ)
        if name.upper().startswith(prefix) and name.upper().removeprefix(prefix).split("__")[0] not in known
    ]


def _fault(detail: dict[str, Any], prefix: str) -> Fault:
    path = [str(part) for part in detail["loc"]]
    variable = prefix + "__".join(path).upper()
    remedy = (detail.get("ctx") or {}).get("remedy")
    if remedy is None:
        verb = "set" if detail["type"] == "missing" else "correct"
        remedy = "remove it" if detail["type"] == "extra_forbidden" else f"{verb} {variable}"
    problem = re.sub(r"^Value error, ", "", detail["msg"])
    return Fault(".".join(path), problem, str(remedy))

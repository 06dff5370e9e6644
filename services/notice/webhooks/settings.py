"""How webhooks are set up: keys, limits, and where they may lead beside the public internet."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.notice.mail.schedule import Schedule
from services.notice.webhooks.posting import PostingTerms
from services.notice.webhooks.signing import WebhookKeyError, read_key
from services.runtime import setting_checks as checks
from services.runtime.settings import ReadableFile


def _webhook_key(file: Path) -> Path:
    try:
        read_key(file)
    except WebhookKeyError as error:
        raise checks.fault(str(error), "give an Ed25519 key as PKCS #8 in PEM, without a password") from error
    return file


class WebhookSettings(BaseModel):
    """How messages to Customers' webhooks are signed, posted and tried."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    signing_keys: Annotated[
        tuple[Annotated[ReadableFile, AfterValidator(_webhook_key)], ...], Field(min_length=1, max_length=4)
    ]
    """Ed25519 private keys, PKCS #8 in PEM. Each signs every message: name two while one is changed."""
    authority: ReadableFile | None = None
    """PEM: who may sign receivers' certificates, beside the authorities that the system trusts."""
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that are not public and may be posted to all the same, such as `10.20.0.0/16`."""
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """Messages posted at once, by each replica."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    """Seconds for one attempt in all, from the name's resolution to the answer's head."""
    takeover_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Seconds after which a message whose worker died is posted again; at least twice `timeout_seconds`."""
    retry_minutes: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=32)
    ] = (0.1, 5.0, 30.0, 120.0, 300.0, 600.0)
    """Minutes after the first, second, … attempt that was put off; the last counts for all that follow."""
    give_up_days: Annotated[float, Field(gt=0, le=30)] = 3.0
    """Days after which a message that was never taken has failed for good."""

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if self.takeover_seconds < 2 * self.timeout_seconds:
            raise checks.fault(
                "takeover_seconds is less than twice timeout_seconds: messages would be posted twice",
                "raise webhook.takeover_seconds or lower webhook.timeout_seconds",
            )
        return self

    @property
    def terms(self) -> PostingTerms:
        """How the workers go about it."""
        steps = tuple(timedelta(minutes=minutes) for minutes in self.retry_minutes)
        return PostingTerms(
            workers=self.workers,
            takeover=timedelta(seconds=self.takeover_seconds),
            schedule=Schedule(steps, timedelta(days=self.give_up_days)),
        )

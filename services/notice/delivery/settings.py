"""Settings of telling Customers; environment variables begin with `IDV_NOTICE_DELIVERY__`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.notice.delivery.links import LinkKeyError, Links, read_secret
from services.notice.delivery.queue import LetterTerms
from services.runtime import setting_checks as checks
from services.runtime.settings import Address, ReadableFile


def _link_key(file: Path) -> Path:
    try:
        read_secret(file)
    except LinkKeyError as error:
        raise checks.fault(str(error), "make one with: openssl rand -base64 32") from error
    return file


class DeliverySettings(BaseModel):
    """How Customers are told of a material version."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    page_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
    """Where readers find the public pages: what stands before it serves `listen_page` there."""
    link_key: Annotated[ReadableFile, AfterValidator(_link_key)]
    """32 random bytes as base64: signs the links in mails and the addresses of bounces, each by its own key.
    Another key makes every link void that was sent before.
    """
    link_days: Annotated[float, Field(gt=0, le=366)] = 60.0
    """Days after a version's instant until which the link in its mail works."""
    cover_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds between two looks for Customers whom only the website reaches, and for a gate that is late."""
    listen_bounces: Address | None = None
    """`host:port` where returned mail comes in by SMTP. Not at all if unset: bounces are not seen then."""
    bounce_domain: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")] | None = None
    """Domain of the envelope's sender, whose mail must be routed to `listen_bounces`."""

    @model_validator(mode="after")
    def _hold_together(self) -> DeliverySettings:
        if (self.listen_bounces is None) != (self.bounce_domain is None):
            raise checks.fault("listen_bounces and bounce_domain belong together", "set both or neither")
        return self

    @property
    def terms(self) -> LetterTerms:
        """What deliveries need."""
        links = Links(read_secret(self.link_key), self.page_url, self.bounce_domain)
        return LetterTerms(links, f"{self.page_url.rstrip('/')}/", timedelta(days=self.link_days))

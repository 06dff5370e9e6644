"""Settings of the ingest service: environment variables `IDV_INGEST_…` over a file."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from services.runtime import setting_checks as checks
from services.runtime.settings import Address, ReadableFile, ServiceSettings, SessionTokenTrust, TokenTrust


class MediaSettings(BaseModel):
    """Limits of one face image or identity document."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    body_bytes: Annotated[int, Field(ge=65536, le=64 << 20)] = 16 << 20
    """Of the body as sent."""
    pixels: Annotated[int, Field(ge=10_000, le=80_000_000)] = 40_000_000
    """Of a picture, also of each inside a PDF."""
    pages: Annotated[int, Field(ge=1, le=500)] = 20
    """Of a PDF."""
    expanded_bytes: Annotated[int, Field(ge=1 << 20, le=2 << 30)] = 256 << 20
    """That all streams of a PDF together expand to."""


class LimitSettings(BaseModel):
    """How much is taken at once, from everyone and from one Customer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_bytes: Annotated[int, Field(ge=128 << 20)] = 512 << 20
    """Half of it for bodies under way, of which one Customer gets half, and half for pixels. Beyond, uploads
    are told to come back. Twelve times the largest body at least.
    """
    queue_bytes: Annotated[int, Field(ge=1 << 20)] = 32 << 20
    """Of small items waiting for storage; beyond, submissions are told to come back."""
    calls_per_second: Annotated[float, Field(gt=0)] = 5000.0
    """Submissions of one Customer; twice as many at once."""
    upload_bytes_per_second: Annotated[float, Field(gt=0)] = 128.0 * (1 << 20)
    """Uploaded bytes of one Customer; twice as many at once."""
    idle_seconds: Annotated[float, Field(gt=0, le=300)] = 15.0
    """For how long an upload may stand still before it is given up."""


class IngestSettings(ServiceSettings):
    """Everything that the ingest service is told."""

    model_config = SettingsConfigDict(env_prefix="IDV_INGEST_")

    customer_tokens: TokenTrust | None = None
    session_tokens: SessionTokenTrust
    session_key: ReadableFile
    """The private JWK (Ed25519) that signs upload tokens; its public half stands in `session_tokens.jwks`."""
    storage_target: Address
    """Where storage is reached, by mutual TLS."""
    notice_target: Address
    """Where notice is reached, by mutual TLS."""
    session_seconds: Annotated[int, Field(ge=60, le=3600)] = 1800
    """For how long a session takes data and its upload token is good."""
    attestation_days: Annotated[int, Field(ge=1, le=365)] = 30
    """Age beyond which an attestation is stale."""
    terms_stale_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """For how long the last known terms count while notice is away; then nothing is taken in."""
    inline_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 64 << 10
    """Checked bodies up to this size share a call to storage with small items; larger ones have their own."""
    media: MediaSettings = MediaSettings()
    limits: LimitSettings = LimitSettings()

    @field_validator("limits")
    @classmethod
    def _fits_the_largest_body(cls, value: LimitSettings, info: ValidationInfo) -> LimitSettings:
        media = info.data.get("media")
        if media is not None and value.memory_bytes < 12 * media.body_bytes:
            raise checks.fault(
                "memory_bytes is less than twelve times media.body_bytes: the largest upload would never fit",
                "raise limits.memory_bytes or lower media.body_bytes",
            )
        return value

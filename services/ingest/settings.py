"""Settings of the ingest service: environment variables `IDV_INGEST_…` over a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from services.ingest.tokens import KeyFileError, read_key
from services.runtime import setting_checks as checks
from services.runtime.keysets import parse_jwks
from services.runtime.settings import Address, ReadableFile, ServiceSettings, SessionTokenTrust, TokenTrust


def _session_key(file: Path) -> Path:
    try:
        read_key(file)
    except KeyFileError as error:
        raise checks.fault(str(error), "give a private Ed25519 key as a JWK with a kid") from error
    return file


class MediaSettings(BaseModel):
    """Limits of one face image or identity document."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    body_bytes: Annotated[int, Field(ge=65536, le=64 << 20)] = 16 << 20
    """Bytes of the body as sent, at most."""
    pixels: Annotated[int, Field(ge=10_000, le=80_000_000)] = 40_000_000
    """Pixels of a picture at most, also of each inside a PDF."""
    pages: Annotated[int, Field(ge=1, le=500)] = 20
    """Pages of a PDF at most."""
    expanded_bytes: Annotated[int, Field(ge=1 << 20, le=2 << 30)] = 256 << 20
    """Bytes that all streams of a PDF together may expand to."""


class LimitSettings(BaseModel):
    """How much is taken at once, from everyone and from one Customer."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    memory_bytes: Annotated[int, Field(ge=128 << 20)] = 512 << 20
    """Bytes: half for bodies under way, of which one Customer gets half, and half for pixels. Beyond, uploads
    are told to come back. Twelve times the largest body at least.
    """
    queue_bytes: Annotated[int, Field(ge=1 << 20)] = 32 << 20
    """Bytes of small items that may wait for storage; beyond, submissions are told to come back."""
    calls_per_second: Annotated[float, Field(gt=0)] = 5000.0
    """Submissions of one Customer a second; twice as many at once."""
    upload_bytes_per_second: Annotated[float, Field(gt=0)] = 128.0 * (1 << 20)
    """Uploaded bytes of one Customer a second; twice as many at once."""
    idle_seconds: Annotated[float, Field(gt=0, le=300)] = 15.0
    """Seconds that an upload may stand still before it is given up."""


class IngestSettings(ServiceSettings):
    """Everything that the ingest service is told."""

    model_config = SettingsConfigDict(env_prefix="IDV_INGEST_")

    customer_tokens: TokenTrust | None = None
    """Whose tokens are Customers' credentials; without it no such token is accepted."""
    session_tokens: SessionTokenTrust
    """The upload tokens: signed with this issuer and audience, and verified."""
    session_key: Annotated[ReadableFile, AfterValidator(_session_key)]
    """The private JWK (Ed25519) that signs upload tokens; its public half stands in `session_tokens.jwks`."""
    storage_target: Address
    """Where storage is reached, by mutual TLS."""
    notice_target: Address
    """Where notice is reached, by mutual TLS."""
    session_seconds: Annotated[int, Field(ge=60, le=3600)] = 1800
    """Seconds for which a session takes data and its upload token is good."""
    attestation_days: Annotated[int, Field(ge=1, le=365)] = 30
    """Days after which an attestation is stale."""
    terms_stale_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Seconds for which the last known terms count while notice is away; then nothing is taken in."""
    inline_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 64 << 10
    """Bytes up to which a checked body shares a call to storage with small items; larger ones do not."""
    media: MediaSettings = MediaSettings()
    limits: LimitSettings = LimitSettings()

    @field_validator("session_key")
    @classmethod
    def _is_published(cls, value: Path, info: ValidationInfo) -> Path:
        trust: SessionTokenTrust | None = info.data.get("session_tokens")
        if trust is not None and isinstance(trust.source, Path):
            key, published = read_key(value), parse_jwks(trust.source.read_bytes())
            if not any(one.kid == key.kid and one.thumbprint() == key.thumbprint() for one in published):
                raise checks.fault(
                    f"{trust.source} does not publish the key of {value}: no upload token would be accepted",
                    "add its public half to session_tokens.jwks",
                )
        return value

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

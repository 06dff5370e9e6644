"""What every service is set by. `settings_loading` reads it, from the environment over a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime import setting_checks as checks

ReadableFile = Annotated[Path, AfterValidator(checks.readable_file)]
"""A file that exists and can be read."""
Directory = Annotated[Path, AfterValidator(checks.writable_directory)]
"""A folder that exists and can be written."""
Address = Annotated[str, AfterValidator(checks.address)]
"""`host:port`, an IPv6 host in brackets; port 0 takes any free one."""
PostgresDsn = Annotated[SecretStr, AfterValidator(checks.postgres_dsn)]
"""`postgresql://user:password@host:port/database`."""
Jwks = Annotated[str, AfterValidator(checks.jwks_source)]
"""A JWKS: the path of a readable file, or a URL."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class TlsFiles(_Part):
    """Certificate and key of this service, and the authority of its peers; PEM, reloaded when replaced."""

    certificate: ReadableFile
    """PEM: this service's certificate, then what chains it to an authority that its peers know."""
    private_key: ReadableFile
    """PEM: the certificate's private key, without a password."""
    authority: ReadableFile
    """PEM: the authorities that sign the other services' and the Customers' certificates."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        checks.certificate_pair(self.certificate, self.private_key, self.authority)
        return self


class TokenTrust(_Part):
    """Whose bearer tokens are accepted, and for which audience; the keys are read again when they change."""

    jwks: Jwks
    """The issuer's public keys as a JWKS: a file, or an https URL."""
    issuer: Annotated[str, Field(min_length=1)]
    """What `iss` of a token must be."""
    audience: Annotated[str, Field(min_length=1)] = "idv"
    """What `aud` of a token must be."""

    @property
    def source(self) -> Path | str:
        """The JWKS as a path, or as a URL."""
        return self.jwks if "://" in self.jwks else Path(self.jwks)


class SessionTokenTrust(TokenTrust):
    """Whose upload tokens are accepted: those that ingest signs."""

    issuer: Annotated[str, Field(min_length=1)] = "idv-ingest"
    """What `iss` of an upload token must be; ingest signs with it."""
    audience: Annotated[str, Field(min_length=1)] = "idv-upload"
    """What `aud` of an upload token must be; ingest signs with it."""


class DatabaseSettings(_Part):
    """The database: the runtime role's login, and the owner's where partitions are made or dropped."""

    dsn: PostgresDsn
    """Login of the role `idv_<service>`: `postgresql://user:password@host:port/database`."""
    owner_dsn: PostgresDsn | None = None
    """Login of the role `idv_<service>_owner`: for `idv migrate`, and in storage for the days' partitions."""
    pool_size: Annotated[int, Field(ge=1, le=100)] = 10
    """Connections of one process to the database at most."""
    command_timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Seconds that one statement may take."""


class TelemetrySettings(_Part):
    """Logs go to standard output, traces and metrics to OTLP or to JSON lines files in `directory`."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level of the service's own lines; of libraries, warnings and errors at least."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """Collector that takes traces and metrics by OTLP over gRPC."""
    directory: Directory | None = None
    """Folder for `spans.jsonl` and `metrics.jsonl`, which only grow: for a local run."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The share of successful calls that leave a log line and a trace; failures always leave a line."""
    metric_seconds: Annotated[float, Field(gt=0)] = 15.0
    """Seconds between two exports of the metrics."""


class ServerSettings(_Part):
    """Limits of the gRPC server, see the documentation of each gRPC channel argument."""

    max_message_bytes: Annotated[int, Field(ge=65536, le=64 << 20)] = 4 << 20
    """Bytes of the largest message, in either direction."""
    max_concurrent_streams: Annotated[int, Field(ge=1)] = 256
    """Calls that one connection may have open."""
    max_connection_age: Annotated[float, Field(gt=0)] = 1800.0
    """Seconds until a client is asked to reconnect: new replicas get their share, new certificates count."""
    unary_deadline: Annotated[float, Field(gt=0)] = 30.0
    """Seconds for a unary call that sets no deadline."""
    upload_deadline: Annotated[float, Field(gt=0)] = 300.0
    """Seconds for a client stream at most, and for one that sets no deadline."""


class ServiceSettings(BaseSettings):
    """What every service needs.

    A service's own class sets `model_config = SettingsConfigDict(env_prefix="IDV_STORAGE_")`.
    """

    model_config = SettingsConfigDict(
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    environment: Literal["local", "production"] = "production"
    """`local` allows a time-travel file and keys fetched over plain http."""
    deployment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    """Name of this deployment, for ever: every sealed body is bound to it, and opens under no other."""
    trust_domain: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}$")]
    """SPIFFE trust domain of the certificates: `spiffe://<trust_domain>/service/<name>`."""
    listen_tls: Address | None = None
    """`host:port` with server TLS, for bearer tokens; one of the two ports is needed."""
    listen_mtls: Address | None = None
    """`host:port` with mutual TLS, for client certificates."""
    listen_health: Address = "127.0.0.1:0"
    """`host:port` of the plain health service; port 0 takes any free one."""
    tls: TlsFiles
    customer_tokens: TokenTrust | None = None
    """Whose tokens are Customers' credentials; without it no such token is accepted."""
    session_tokens: SessionTokenTrust | None = None
    """Whose upload tokens are accepted."""
    database: DatabaseSettings | None = None
    """The service's PostgreSQL; ingest has none."""
    time_file: Path | None = None
    """File that moves the application's clock, only in a `local` environment."""
    telemetry: TelemetrySettings = TelemetrySettings()
    server: ServerSettings = ServerSettings()
    drain_seconds: Annotated[float, Field(ge=0)] = 5.0
    """Seconds between NOT_SERVING and refusing new calls, so that load balancers look away first."""
    grace_seconds: Annotated[float, Field(ge=0)] = 20.0
    """Seconds for running calls to end after that."""

    @field_validator("time_file")
    @classmethod
    def _travel_only_locally(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("environment") != "local":
            raise checks.fault(
                "a time-travel file is honoured only in a local environment", "remove time_file"
            )
        return value

    @field_validator("customer_tokens", "session_tokens")
    @classmethod
    def _fetched_safely(cls, value: TokenTrust | None, info: ValidationInfo) -> TokenTrust | None:
        if value is not None and value.jwks.startswith("http://") and info.data.get("environment") != "local":
            raise checks.fault("keys must not be fetched over plain http", "give an https address")
        return value

    @field_validator("listen_mtls")
    @classmethod
    def _some_port(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("listen_tls") is None and "listen_tls" in info.data:
            raise checks.fault("neither listen_tls nor listen_mtls is set", "set the port that callers use")
        return value

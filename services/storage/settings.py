"""Settings of the storage service: environment variables `IDV_STORAGE_…` over a file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.runtime import setting_checks as checks
from services.runtime.settings import DatabaseSettings, ServiceSettings, SessionTokenTrust
from services.storage.access_flags import BulkRule


class ObjectSettings(BaseModel):
    """The S3 store for large bodies. Its account needs nothing beyond buckets with the prefix."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/]+/?$")]
    """URL of the S3 service, without a path; buckets are addressed by path."""
    region: str = "us-east-1"
    """The S3 region that requests are signed for."""
    access_key: SecretStr
    """Access key of the account."""
    secret_key: SecretStr
    """Secret key of the account."""
    bucket_prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,40}-$")] = "idv-"
    """Begins the name of each day's bucket: `idv-20261124`."""
    connections: Annotated[int, Field(ge=1, le=512)] = 64
    """Connections of one process to the store at most."""
    timeout: Annotated[float, Field(gt=0)] = 30.0
    """Seconds between two pieces of an answer; to connect 5 at most, for a call without a body 10 in all."""


class KeySettings(BaseModel):
    """The local key authority."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    file: Path
    """The slot file: on a local disk that writes in place, outside of every backup."""
    slots: Annotated[int, Field(ge=128, le=1_000_000)] = 8192
    """Slots of a new file: 105 for each day of the term and of the days until expiry may be late, and one for
    each Customer with an opt-out.
    """


class StorageLimits(BaseModel):
    """Limits and terms of the service itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    own_term_days: Annotated[int, Field(gt=0, le=3660)] = 30
    """Days for which our own records are kept that belong to a day without sessions, such as the intent of an
    erasure.
    """
    days_ahead: Annotated[int, Field(ge=1, le=14)] = 3
    """Days that are made ready before they begin: partitions and bucket."""
    batch_items: Annotated[int, Field(ge=1, le=1024)] = 64
    """Records in one commit at most."""
    batch_bytes: Annotated[int, Field(ge=65536)] = 2 << 20
    """Sealed bytes in one commit at most, unless one record alone has more."""
    queue_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    """Sealed bytes that may wait for their commit; beyond, writes are told to come back."""
    object_bytes: Annotated[int, Field(ge=1 << 20)] = 32 << 20
    """Bytes of the largest body."""
    objects_in_flight: Annotated[int, Field(ge=1)] = 16
    """Large bodies in memory at once; the others wait for their turn."""
    erasure_page: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Rows that one transaction of a wide erasure removes at most."""
    bulk_records: Annotated[int, Field(ge=1)] = 1000
    """Records of one Customer that one service may see within a window before its accesses are flagged as
    bulk.
    """
    bulk_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    """Length of that window in minutes; windows begin at whole multiples of it, in UTC."""
    access_totals_days: Annotated[int, Field(ge=1, le=36_600)] = 1095
    """Days for which totals of accesses, without ids, are kept; a purpose not named since is new again."""
    evidence_days: Annotated[int, Field(ge=90, le=36_600)] = 1096
    """Days for which it is kept when the keys and the bytes of a day were destroyed, after its removal. At
    least 90, so that the retention service has logged it long before, whatever was away.
    """
    erasure_seconds: Annotated[float, Field(ge=0)] = 5.0
    """Seconds after which a call leaves a wide erasure, unreadable already, to be carried on by a repeat."""

    @property
    def bulk_rule(self) -> BulkRule:
        """The threshold as the flags need it."""
        return BulkRule(self.bulk_records, timedelta(minutes=self.bulk_minutes))


class StorageSettings(ServiceSettings):
    """Everything that the storage service is told."""

    model_config = SettingsConfigDict(env_prefix="IDV_STORAGE_")

    database: DatabaseSettings
    session_tokens: SessionTokenTrust
    objects: ObjectSettings
    keys: KeySettings
    limits: StorageLimits = StorageLimits()
    expiry_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two looks for what is due."""

    @field_validator("database")
    @classmethod
    def _with_the_owner(cls, value: DatabaseSettings) -> DatabaseSettings:
        if value.owner_dsn is None:
            raise checks.fault(
                "owner_dsn is missing: the days' partitions are made and dropped on the owner's login",
                "set IDV_STORAGE_DATABASE__OWNER_DSN",
            )
        return value

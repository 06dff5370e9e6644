"""Settings of the retention service; environment variables begin with `IDV_RETENTION_`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from idv.checkpoint import NoteError, VerifierKey
from idv.cosignature import WitnessKey
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from services.retention.relays import RelayTerms
from services.retention.sealing import SealError, TargetSeal
from services.retention.signing import SigningKeyError, read_key
from services.runtime import setting_checks as checks
from services.runtime.settings import Address, DatabaseSettings, ReadableFile, ServiceSettings


def _signing_key(file: Path) -> Path:
    try:
        read_key(file)
    except SigningKeyError as error:
        raise checks.fault(str(error), "give an Ed25519 key as PKCS #8 in PEM, without a password") from error
    return file


def _request_key(file: Path) -> Path:
    try:
        TargetSeal.load(file)
    except SealError as error:
        raise checks.fault(str(error), "write 32 random bytes as base64, once, and keep them") from error
    return file


def _verifier_key(text: str) -> str:
    try:
        VerifierKey.parse(text)
    except NoteError as error:
        raise checks.fault(f"a former key cannot be read: {error}", "give it as it was published") from error
    return text


def _witness_key(text: str) -> str:
    try:
        WitnessKey.parse(text)
    except NoteError as error:
        problem = f"a witness's key cannot be read: {error}"
        raise checks.fault(problem, "give it as the witness tells it") from error
    return text


class WitnessSettings(BaseModel):
    """A witness that cosigns the log's checkpoints, by the C2SP tlog-witness protocol."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$")]
    """Where it takes checkpoints: the submission prefix, without `/add-checkpoint`."""
    key: Annotated[str, AfterValidator(_witness_key)]
    """Its public key, `name+id+key`, as it publishes it for cosignature/v1."""


class LogSettings(BaseModel):
    """The transparency log's name and keys, and who witnesses it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    origin: Annotated[str, Field(pattern=r"^[^\s+]{1,128}$")]
    """The log's name for ever, in every checkpoint: a URL without its scheme, such as `idv.example/log`."""
    signing_key: Annotated[ReadableFile, AfterValidator(_signing_key)]
    """Ed25519 private key, PKCS #8 in PEM."""
    also_signing_keys: tuple[Annotated[ReadableFile, AfterValidator(_signing_key)], ...] = ()
    """Private keys that sign each checkpoint as well, while the signing key is being changed."""
    former_keys: tuple[Annotated[str, AfterValidator(_verifier_key)], ...] = ()
    """Verifier keys of older checkpoints, the newest first; published with the present one."""
    witnesses: tuple[WitnessSettings, ...] = ()
    """Who is asked to cosign each checkpoint; best run by others than you."""
    quorum: Annotated[int, Field(ge=1, le=100)] = 1
    """Of how many witnesses a cosignature makes a checkpoint a witnessed one."""

    @model_validator(mode="after")
    def _quorum_can_be_had(self) -> Self:
        keys = [one.key for one in self.witnesses]
        if len(set(keys)) != len(keys):
            raise checks.fault("a witness is named twice: it counts once", "name each in log.witnesses once")
        if keys and self.quorum > len(keys):
            problem = f"a quorum of {self.quorum} cannot be had of {len(keys)}"
            raise checks.fault(problem, "lower log.quorum or name more witnesses")
        return self


class JobSettings(BaseModel):
    """How often the periodic jobs run, in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    deletions: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two looks for deletions that a crash or an absent storage service interrupted."""
    destructions: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two looks for destructions that storage reports, to log them."""
    announcements: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two looks for versions that notice announced, to log them."""
    relays: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two looks for end users' requests to relay, to follow or to remind of."""
    completions: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two looks for deletions whose end is to be reported to their Customers."""
    exports: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between two looks for exports that began a day ago, to forget what they kept."""
    witnesses: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two looks for a checkpoint that a witness has not cosigned yet."""
    statements: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between two looks whether the day's statement is made."""


class RelaySettings(BaseModel):
    """How end users' own requests are relayed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    due_days: Annotated[int, Field(ge=2, le=365)] = 30
    """Days until the Customer's answer is due, from the entry on; your law or contract says how many."""
    remind_days: Annotated[int, Field(ge=1, le=364)] = 7
    """Days before that on which the Customer is reminded, once; less than `due_days`."""

    @model_validator(mode="after")
    def _reminded_before_due(self) -> Self:
        if self.remind_days >= self.due_days:
            raise checks.fault(
                "remind_days is not less than due_days: the reminder would come with the relay",
                "lower relay.remind_days",
            )
        return self

    def terms(self, evidence: timedelta) -> RelayTerms:
        """The terms as the relays need them."""
        return RelayTerms(timedelta(days=self.due_days), timedelta(days=self.remind_days), evidence)


class RetentionSettings(ServiceSettings):
    """What the retention service needs beside what every service does."""

    model_config = SettingsConfigDict(env_prefix="IDV_RETENTION_")

    database: DatabaseSettings
    storage_target: Address
    """Where storage is reached, by mutual TLS."""
    notice_target: Address
    """Where notice is reached, by mutual TLS."""
    log: LogSettings
    listen_tiles: Address | None = None
    """`host:port` where the log is served as files over plain HTTP (C2SP tlog-tiles); not at all if unset."""
    request_key: Annotated[ReadableFile, AfterValidator(_request_key)]
    """32 random bytes as base64: seals what a deletion is of until done, and keys the digests of requests."""
    jobs: JobSettings = JobSettings()
    relay: RelaySettings = RelaySettings()
    opening_days: Annotated[int, Field(ge=1, le=3660)] = 30
    """Days after its end for which a deletion's receipt is kept with entry and salt; then without them."""
    evidence_days: Annotated[int, Field(ge=30, le=36600)] = 1096
    """Days for which an ended deletion or relay is kept as evidence, then only the log's leaf; more than
    `opening_days`, as your contracts say.
    """
    access_streams: Annotated[int, Field(ge=1, le=1000)] = 20
    """Streams of accesses that one Customer may hold open with one replica."""
    takeover_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """Seconds after its last sign of life when a deletion counts as interrupted and the job carries it on."""

    @model_validator(mode="after")
    def _evidence_outlives_openings(self) -> Self:
        if self.evidence_days <= self.opening_days:
            raise checks.fault(
                "evidence_days is not more than opening_days: receipts would go before their openings",
                "raise evidence_days or lower opening_days",
            )
        return self

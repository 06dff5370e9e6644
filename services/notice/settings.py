"""Settings of the notice service; environment variables begin with `IDV_NOTICE_`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from email_validator import EmailNotValidError
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
from pydantic_settings import SettingsConfigDict

from services.notice.accounts.customer import envelope_address
from services.notice.ageing import AgeingTerms
from services.notice.delivery.settings import DeliverySettings
from services.notice.mail.composing import Sender
from services.notice.mail.courier import CourierTerms
from services.notice.mail.domains import DomainLimit, DomainLimits
from services.notice.mail.schedule import Schedule
from services.notice.mail.signing import SigningKey, SigningKeyError, read_key
from services.notice.mail.smtp import Relay
from services.notice.rules import Rules
from services.notice.webhooks.settings import WebhookSettings
from services.runtime import setting_checks as checks
from services.runtime.settings import Address, DatabaseSettings, ReadableFile, ServiceSettings


def _mail_address(text: str) -> str:
    try:
        return envelope_address(text)
    except EmailNotValidError:
        raise checks.fault("this is no e-mail address", "write for example privacy@idv.example") from None


class DomainSettings(BaseModel):
    """What one recipient domain takes, of each replica."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    sessions: Annotated[int, Field(ge=1, le=64)] | None = None
    """Mails to the domain under way at once. No limit if unset."""
    per_minute: Annotated[float, Field(gt=0)] | None = None
    """Mails to the domain in a minute. No limit if unset."""


def _signing_key(file: Path) -> Path:
    try:
        read_key(file)
    except SigningKeyError as error:
        raise checks.fault(
            str(error), "make one with: openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048"
        ) from error
    return file


_DOMAIN = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"


class SigningSettings(BaseModel):
    """A key that signs mails (DKIM), and where DNS has its public part."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    key: Annotated[ReadableFile, AfterValidator(_signing_key)]
    """Private key in PEM: RSA of 2048 bits or more, or Ed25519."""
    selector: Annotated[str, Field(pattern=_DOMAIN)]
    """The public key stands at `<selector>._domainkey.<domain>`."""
    domain: Annotated[str, Field(pattern=_DOMAIN)] | None = None
    """Default: the domain of `mail.sender`, in lower case."""


class MailSettings(BaseModel):
    """The mail server that mails are handed to, and how they are tried."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    server: Address
    """The mail server that takes everything for delivery: `host:port`."""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """How TLS begins; without it nothing is sent. `none` is for a sink on the same machine, in a `local`
    environment only.
    """
    authority: ReadableFile | None = None
    """PEM: who may sign the mail server's certificate. Default: the authorities that the system trusts."""
    user: str | None = None
    """User name to log in with, after TLS."""
    password: SecretStr | None = None
    """Its password."""
    sender: Annotated[str, AfterValidator(_mail_address)]
    """From whom mails are. Its domain stands in every Message-ID: do not change it while mails wait."""
    sender_name: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,78}$")] = "ID Verification privacy desk"
    """The sender's name for people."""
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """Sessions with the mail server at once, of each replica."""
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    """Seconds for one attempt at most."""
    takeover_seconds: Annotated[float, Field(gt=0, le=3600)] = 180.0
    """Seconds after which a mail whose worker died is sent again; at least twice `timeout_seconds`."""
    retry_minutes: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=32)
    ] = (
        0.1,
        1.0,
        5.0,
        15.0,
        60.0,
        240.0,
    )
    """Minutes after the first, second, … attempt that was put off; the last counts for all that follow."""
    give_up_days: Annotated[float, Field(gt=0, le=30)] = 5.0
    """Days after which a mail that was only ever put off has failed for good."""
    domains: dict[str, DomainSettings] = Field(default_factory=dict)
    """Limits by recipient domain, in lower case and its ASCII form. What is above them waits its turn."""

    signing: Annotated[tuple[SigningSettings, ...], Field(max_length=4)] = ()
    """Keys that sign every mail (DKIM): each by a signature of its own, so name two while one is replaced.
    Without one, mails are left to the mail server to sign.
    """

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if self.takeover_seconds < 2 * self.timeout_seconds:
            raise checks.fault(
                "takeover_seconds is less than twice timeout_seconds: mails would be sent twice",
                "raise mail.takeover_seconds or lower mail.timeout_seconds",
            )
        if (self.user is None) != (self.password is None):
            raise checks.fault("user and password belong together", "set both or neither")
        if self.user is not None and self.tls == "none":
            raise checks.fault(
                "a password must not be sent without TLS", "set mail.tls, or take user and password out"
            )
        return self

    @property
    def relay(self) -> Relay:
        """The mail server as a session needs it."""
        host, _, port = self.server.rpartition(":")
        return Relay(
            host=host.strip("[]"),
            port=int(port),
            tls=self.tls,
            authority=self.authority,
            user=self.user,
            password=self.password.get_secret_value() if self.password else None,
            sender=self.sender,
            timeout_seconds=self.timeout_seconds,
        )

    @property
    def from_whom(self) -> Sender:
        """Who mails are from."""
        return Sender(self.sender, self.sender_name)

    @property
    def signing_keys(self) -> tuple[SigningKey, ...]:
        """The keys that sign, read."""
        own = self.from_whom.domain.lower()
        return tuple(SigningKey(one.selector, one.domain or own, read_key(one.key)) for one in self.signing)

    @property
    def terms(self) -> CourierTerms:
        """How the workers go about it."""
        steps = tuple(timedelta(minutes=minutes) for minutes in self.retry_minutes)
        return CourierTerms(
            workers=self.workers,
            takeover=timedelta(seconds=self.takeover_seconds),
            schedule=Schedule(steps, timedelta(days=self.give_up_days)),
            attempt=timedelta(seconds=self.timeout_seconds),
            domains=DomainLimits(
                {name: DomainLimit(limit.sessions, limit.per_minute) for name, limit in self.domains.items()}
            ),
        )


class AmendmentSettings(BaseModel):
    """The rules of the house under which versions are announced."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    two_persons: bool = True
    """Whether the person who announces a version must be another than the one who drafted it. Persons are
    told apart by their certificates, `spiffe://<trust-domain>/service/officer/<person>`.
    """
    minimum_lead_days: Annotated[float, Field(ge=0, le=365)] = 30.0
    """Days that lie at least between the announcement of a material version and its effect."""
    mails_per_second: Annotated[float, Field(gt=0, le=100_000)] = 50.0
    """Mails that your mail server takes in a second: by it a review estimates the time to tell all, until a
    hundred Customers were told of a version; then by the pace of the last delivery.
    """

    @property
    def rules(self) -> Rules:
        """The rules as the versions need them."""
        return Rules(self.two_persons, timedelta(days=self.minimum_lead_days), self.mails_per_second)


class NoticeSettings(ServiceSettings):
    """What the notice service needs beside what every service does."""

    model_config = SettingsConfigDict(env_prefix="IDV_NOTICE_")

    database: DatabaseSettings
    listen_page: Address
    """Where the public page is served, over plain HTTP: what stands before it ends TLS."""
    listen_officer: Address | None = None
    """Where the officer's page is served, by mutual TLS, to certificates of the officer. Default: nowhere."""
    amendment: AmendmentSettings = AmendmentSettings()
    """The rules under which versions are announced."""
    mail: MailSettings | None = None
    """The mail server. Without it no mail is taken: relays wait in retention until it is set."""
    delivery: DeliverySettings | None = None
    """How Customers are told of a material version; it needs `mail` too. Without it none can be announced."""
    webhook: WebhookSettings | None = None
    """How Customers' webhooks are posted to. Without it none is: Customers are told by mail alone."""
    evidence_days: Annotated[int, Field(ge=90, le=36600)] = 1096
    """Days for which the evidence of an ended mail or webhook is kept; and, after its off-boarding, that of a
    Customer's deliveries and acknowledgements, and what is left of its account.
    """
    former_address_days: Annotated[int, Field(ge=1, le=366)] = 30
    """Days until an address that a Customer replaced is taken out of the evidence of what was sent there, and
    for which the request ids of changes to accounts are known: their digests cover addresses.
    """

    @field_validator("mail")
    @classmethod
    def _in_the_clear_only_locally(
        cls, value: MailSettings | None, info: ValidationInfo
    ) -> MailSettings | None:
        if value is not None and value.tls == "none" and info.data.get("environment") != "local":
            raise checks.fault("mail must not be sent without TLS", "set mail.tls to starttls or implicit")
        return value

    @property
    def ageing_terms(self) -> AgeingTerms:
        """The terms as the job that ends our own records needs them."""
        return AgeingTerms(timedelta(days=self.evidence_days), timedelta(days=self.former_address_days))

"""Settings of the notice service; environment variables begin with `IDV_NOTICE_`."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from services.runtime.settings import Address, DatabaseSettings, ServiceSettings


class NoticeSettings(ServiceSettings):
    """What the notice service needs beside what every service does."""

    model_config = SettingsConfigDict(env_prefix="IDV_NOTICE_")

    database: DatabaseSettings
    listen_page: Address
    """Where the public page is served, over plain HTTP: what stands before it ends TLS."""

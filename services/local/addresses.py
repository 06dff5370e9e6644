"""Changing one part of a database address."""

from __future__ import annotations

from urllib.parse import quote, urlsplit


def with_login(dsn: str, user: str, password: str) -> str:
    """The same server and database, another login."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}").geturl()


def with_database(dsn: str, name: str) -> str:
    """The same server and login, another database."""
    return urlsplit(dsn)._replace(path=f"/{quote(name, safe='')}").geturl()

"""The options by which a Customer is written on the command line, and the account they make."""

from __future__ import annotations

from typing import Annotated

import typer
from idv.notice.v1 import customers_pb2 as pb

from services.runtime.resources import customer_name

Id = Annotated[str, typer.Argument(metavar="ID", help="The Customer's id: 3 to 40 of a-z, 0-9 and hyphen.")]
Name = Annotated[str | None, typer.Option("--name", help="Its name for people.")]
Email = Annotated[str | None, typer.Option("--email", help="Where relays and notices are sent.")]
Language = Annotated[str | None, typer.Option("--language", help="Language of what is sent: en, zh-Hans, …")]
Region = Annotated[str | None, typer.Option("--region", help="Region.")]
Zone = Annotated[str | None, typer.Option("--time-zone", help="Time zone, such as Europe/Berlin.")]
Items = Annotated[
    list[str] | None,
    typer.Option("--item", help="An optional item that it may ask for; again for more. Default: any."),
]
Webhook = Annotated[
    str | None, typer.Option("--webhook", help="Where the ends of deletions are posted, by https and signed.")
]


def account_as_written(
    customer: str,
    name: str | None,
    email: str | None,
    language: str | None,
    region: str | None,
    time_zone: str | None,
    items: list[str] | None,
    webhook: str | None,
) -> tuple[pb.Customer, list[str]]:
    """A Customer as it was written, and the fields that were given."""
    given = {
        "display_name": name,
        "email": email,
        "language": language,
        "region": region,
        "time_zone": time_zone,
        "optional_items": items,
        "webhook_uri": webhook,
    }
    values = {field: value for field, value in given.items() if value is not None}
    return pb.Customer(name=customer_name(customer), **values), list(values)  # type: ignore[arg-type]

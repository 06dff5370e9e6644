"""`mail_fanout`: Customers told through the durable outbox, beside a raw socket that sends the same mails.

The outbox takes deliveries by row locks, composes each mail, sends it and commits reply, state and count.
The bare limit speaks the same commands to the same sink over as many connections, with a mail made before.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog

from benchmarks.mail_sink import mail_sink
from benchmarks.rounds import Result, interleave, median
from benchmarks.told_customers import ToldCustomers, told_customers
from services.local.stack import LocalStack
from services.notice.delivery.letter import Letters
from services.notice.delivery.links import Links
from services.notice.delivery.queue import DeliveryQueue, LetterTerms
from services.notice.mail.composing import Sender
from services.notice.mail.courier import Courier, CourierTerms
from services.notice.mail.schedule import Schedule
from services.notice.mail.smtp import Relay, SmtpSession
from services.runtime.clock import SystemClock

CUSTOMERS = 2048
CONNECTIONS = 32
TARGET = 0.75

_SENDER = Sender("privacy@idv.example", "ID Verification")
_PAGE = "https://privacy.idv.example/"
_AGAIN = (
    "UPDATE notice.deliveries SET state = 1, held = true, attempts = 0, due_time = create_time;"
    " UPDATE notice.audiences SET held = audience, queued = audience, accepted = 0, told_accepted = 0;"
    " TRUNCATE notice.delivery_evidence; VACUUM ANALYZE notice.deliveries"
)


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Mails a second of both."""
    with tempfile.TemporaryDirectory(prefix="idv-bench-mail-") as folder:
        async with mail_sink(Path(folder)) as address, told_customers(stack) as part:
            await part.register(CUSTOMERS)
            version = await part.announce(2)
            courier = _courier(part, address)

            async def ours() -> float:
                for statement in _AGAIN.split(";"):
                    await part.admin.execute(statement)
                _empty(Path(folder))
                started = time.perf_counter()
                await courier.empty()
                seconds = time.perf_counter() - started
                told = "SELECT accepted FROM notice.audiences WHERE version = $1"
                if await part.admin.fetchval(told, version) != CUSTOMERS:
                    raise RuntimeError("not everybody was told")
                return CUSTOMERS / seconds

            async def raw() -> float:
                _empty(Path(folder))
                started = time.perf_counter()
                share = CUSTOMERS // CONNECTIONS
                await asyncio.gather(*(_raw(address, mail, share) for _ in range(CONNECTIONS)))
                return share * CONNECTIONS / (time.perf_counter() - started)

            await ours()
            mail = _one(Path(folder))
            seen = await interleave(rounds, ours, raw, progress=progress)
    ratios = [one / other for one, other in seen]
    return Result(
        name="mail_fanout",
        ours=median([one for one, _ in seen]),
        bare=median([other for _, other in seen]),
        ratio=median(ratios),
        target=TARGET,
        unit="mails/s",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) >= TARGET,
        about=f"{CUSTOMERS:,} Customers told of a version through the outbox over {CONNECTIONS} SMTP "
        "sessions: taken, composed, sent, and each reply committed with state and count; beside a raw socket "
        "that sends one made mail as often to the same sink, over as many connections.",
    )


def _courier(part: ToldCustomers, address: str) -> Courier:
    host, _, port = address.rpartition(":")
    relay = Relay(host, int(port), "none", None, None, None, _SENDER.address, 60.0)
    terms = LetterTerms(Links(bytes(32), _PAGE, "bounces.idv.example"), _PAGE, timedelta(days=60))
    schedule = Schedule((timedelta(minutes=1),), timedelta(days=5))
    return Courier(
        [DeliveryQueue(part.database, Letters(_SENDER), terms)],
        lambda: SmtpSession(relay),
        SystemClock(),
        structlog.get_logger(),
        CourierTerms(CONNECTIONS, timedelta(minutes=3), schedule),
    )


async def _raw(address: str, mail: bytes, count: int) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    async def say(line: bytes) -> None:
        writer.write(line)
        while (await reader.readline())[3:4] == b"-":
            pass

    await say(b"")
    await say(b"EHLO idv.example\r\n")
    for _ in range(count):
        await say(b"MAIL FROM:<privacy@idv.example>\r\n")
        await say(b"RCPT TO:<privacy@bench.example>\r\n")
        await say(b"DATA\r\n")
        await say(mail + b".\r\n")
    await say(b"QUIT\r\n")
    writer.close()
    await writer.wait_closed()


def _one(folder: Path) -> bytes:
    """A mail as it was sent: what stands after the line that the sink adds."""
    return next(folder.glob("*.eml")).read_bytes().partition(b"\r\n")[2]


def _empty(folder: Path) -> None:
    for mail in folder.glob("*.eml"):
        mail.unlink()

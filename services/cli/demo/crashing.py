"""Chapter: what was acknowledged survives kill -9, and nothing personal lies readable anywhere."""

from __future__ import annotations

import asyncio
from functools import partial

from idv.errors import IdvError
from idv.types.v1 import processing_pb2

from services.cli.demo.calls import accesses, once_served, read, submit
from services.cli.demo.cast import log_items
from services.cli.demo.stage import ACME, EVENTUALLY_SECONDS, Chapter, Stage, Step, promised
from services.cli.records import size

_IN_FLIGHT = 24
_BEFORE_THE_KILL = 6


async def killed(stage: Stage) -> str:
    """kill -9 of storage amid submissions: every acknowledged record reads back."""
    acknowledged: list[processing_pb2.Record] = []
    enough = asyncio.Event()

    async def send() -> None:
        person = stage.person("B")
        try:
            answer = await submit(stage, person, log_items(person, stage.stack.clock.now()))
        except IdvError:  # not acknowledged: the client knows, and repeats it under the same request id
            return
        acknowledged.extend(answer.records)
        if len(acknowledged) >= _BEFORE_THE_KILL:
            enough.set()

    sending = [asyncio.create_task(send()) for _ in range(_IN_FLIGHT)]
    await asyncio.wait([asyncio.create_task(enough.wait()), *sending], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait_for(enough.wait(), EVENTUALLY_SECONDS)
    before = len(acknowledged)
    await stage.stack.kill("storage")
    await asyncio.gather(*sending)
    await stage.stack.ready("storage")
    for record in acknowledged:
        body = await once_served(partial(read, stage, record), "an acknowledged record cannot be read")
        promised(bool(body), "an acknowledged record is empty")
    kept, refused = len(acknowledged), _IN_FLIGHT - len(acknowledged)
    told = f", {refused} told to repeat" if refused else ""
    return f"{before} acknowledged before, {kept - before} after{told}; all {kept} read back"


async def server_killed(stage: Stage) -> str:
    """kill -9 of PostgreSQL: it recovers, and the suite with it."""
    await stage.stack.kill("postgres")
    await stage.stack.ready("postgres")
    body = await once_served(partial(read, stage, stage.record("B log")), "storage does not recover")
    seen = await once_served(partial(accesses, stage, ACME), "retention does not recover")
    return f"a record acknowledged before reads back ({size(len(body))}), its {len(seen)} readings too"


async def nothing_readable(stage: Stage) -> str:
    """No end user's text lies readable in logs, spans, metrics, database, objects, mail or file names."""
    texts = [person.canary for person in stage.people.values()]
    hits, files, searched = await asyncio.to_thread(stage.probes.files_with, texts)
    promised(not hits, f"found in {', '.join(sorted({path.name for path in hits}))}")
    control, _, _ = await asyncio.to_thread(stage.probes.files_with, ["acme"])
    found = f"0 hits in {files} files, {size(searched)}"
    return f"{len(texts)} planted texts: {found}; a Customer's id, sought alike: in {len(control)}"


CHAPTER = Chapter(
    "Nothing acknowledged is lost, nothing leaks",
    "Processes are killed amid their work. Then every file of the stack is searched for what end users sent.",
    (
        Step("P10", "kill -9 of storage amid submissions", killed),
        Step("P10", "kill -9 of PostgreSQL", server_killed),
        Step("P10", "No end user's text in any file", nothing_readable),
    ),
)

"""Chapter: every reading names a purpose and is shown to the Customer who owns the data."""

from __future__ import annotations

import hashlib
import io

from idv.errors import Reason
from idv.types.v1 import processing_pb2
from PIL import Image
from PIL.ExifTags import IFD

from services.cli.demo.calls import accesses, read, refusal
from services.cli.demo.stage import ACME, GLOBEX, SUPPORT, Chapter, Stage, Step, promised
from services.cli.records import size
from services.local.signing import Secrets

_VISIBLE = ("A jpeg", "A png", "B jpeg", "B png", "B pdf", "C jpeg", "C png")


async def for_verification(stage: Stage) -> str:
    """Every picture reads as it was stored: it decodes, and the planted marks are gone."""
    total = 0
    for name in _VISIBLE:
        body = await read(stage, stage.record(name))
        promised(hashlib.sha256(body).digest() == stage.stored_sha256[name], f"{name} is not what was stored")
        mark = stage.person(name[0]).mark.encode()
        promised(mark not in body, f"{name} still holds planted metadata")
        if not name.endswith("pdf"):
            image = Image.open(io.BytesIO(body))
            image.load()
            promised(not image.getexif().get_ifd(IFD.GPSInfo), f"{name} still holds a position")
        total += len(body)
    return f"{len(_VISIBLE)} bodies, {size(total)}: SHA-256 as answered at upload, no GPS, they decode"


async def typed_items(stage: Stage) -> str:
    """What came in as typed items comes out the same."""
    body = await read(stage, stage.record("A log"))
    promised(stage.person("A").canary.encode() in body, "the log is not the one that was sent")
    return f"{size(len(body))} of typed events, as they were sent"


async def no_purpose(stage: Stage) -> str:
    """A reading that names no purpose."""
    call = read(stage, stage.record("A log"), purpose=processing_pb2.PURPOSE_UNSPECIFIED)
    return await refusal(call, Reason.ERROR_REASON_PURPOSE_REQUIRED)


async def other_purpose(stage: Stage) -> str:
    """Support staff may not read for verification."""
    call = read(stage, stage.record("A log"), SUPPORT)
    return await refusal(call, Reason.ERROR_REASON_PURPOSE_NOT_ALLOWED)


async def nobody_named(stage: Stage) -> str:
    """Troubleshooting without person and ticket."""
    call = read(stage, stage.record("A log"), SUPPORT, processing_pb2.PURPOSE_TROUBLESHOOTING)
    return await refusal(call, Reason.ERROR_REASON_PURPOSE_REQUIRED)


async def listed(stage: Stage) -> str:
    """The Customer sees every reading of its data, with person and ticket where troubleshooting; another
    sees none of it.
    """
    troubleshooting = processing_pb2.PURPOSE_TROUBLESHOOTING
    await read(stage, stage.record("A log"), SUPPORT, troubleshooting, "staff-7", "T-1042")
    seen, others = await accesses(stage, ACME), await accesses(stage, GLOBEX)
    own = [one for one in seen if one.kind == processing_pb2.ACCESS_KIND_READ]
    expected = sum(name[0] in "AB" for name in _VISIBLE) + 2
    promised(len(own) == expected, f"acme sees {len(own)} readings of {expected}")
    promised(own[0].ticket == "T-1042" and own[0].person == "staff-7", "person and ticket are not listed")
    promised(
        processing_pb2.ACCESS_FLAG_FIRST_PURPOSE in own[0].flags,
        "a purpose named for the first time is no flag",
    )
    promised(
        all(one.session.startswith("customers/globex/") for one in others), "globex sees acme's readings"
    )
    flagged = "one flagged: first troubleshooting, T-1042"
    return f"acme sees {len(own)} readings ({flagged}); globex its own {len(others)}"


async def walled(stage: Stage) -> str:
    """Row-level security alone keeps Customers apart, even for the storage service's own database role."""
    password = Secrets.open(stage.stack.layout).passwords["idv_storage"]
    counts = [
        await stage.probes.rows_seen_by_storage(password, tenants) for tenants in ((), ("acme",), ("globex",))
    ]
    none, acme, globex = counts
    everything = (await stage.probes.rows("SELECT count(*) AS rows FROM storage.records"))[0]["rows"]
    promised(
        none == 0 and acme > 0 and globex > 0,
        f"rows without a Customer: {none}, acme: {acme}, globex: {globex}",
    )
    promised(acme + globex == everything, "the Customers' rows are not all rows")
    return f"SQL as the service's role: no Customer set 0 rows, acme {acme}, globex {globex}"


CHAPTER = Chapter(
    "Every reading names a purpose",
    "Internal services read over mutual TLS, for verification, troubleshooting or the support of rights. "
    "The Customer sees each reading.",
    (
        Step("P1", "A verifier reads what was stored", for_verification),
        Step("P1", "Typed items come out as they came in", typed_items),
        Step("P1", "No purpose, no reading", no_purpose),
        Step("P1", "Support does not read for verification", other_purpose),
        Step("P1", "Troubleshooting names person and ticket", nobody_named),
        Step("P1", "The Customer sees every reading", listed),
        Step("P1", "Row-level security walls Customers off", walled),
    ),
)

"""The log as files over HTTP, in the layout of C2SP tlog-tiles, for public tools that read logs.

    /checkpoint                 the newest signed checkpoint, with the cosignatures it has so far
    /tile/<L>/<N>[.p/<W>]       256 hashes of the tree's level 8 L, from 256 N on; of `.p/<W>` the first W
    /tile/entries/<N>[.p/<W>]   256 entries, each two bytes of length and then the entry

N is written in groups of three digits, each but the last after an `x`: 1234067 is `x001/x234/067`. An entry
is what a leaf of this log holds: 32 bytes, HMAC-SHA256(salt, canonical entry). So there is no personal data
here, and what an entry says is known only to who has its opening. A tile never changes once it can be had.
"""

from __future__ import annotations

import re
from typing import Final

from idv.errors import IdvError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.retention.log import TransparencyLog
from services.retention.witnesses import Witnesses

WIDTH: Final = 256
"""Hashes or entries of a full tile."""
HEIGHT: Final = 8
"""Levels of the tree between two levels of tiles."""
_LAST_LEVEL: Final = 6
"""Tiles above hold nothing: no log here has more than 2**63 leaves."""

_PATH: Final = re.compile(
    r"(?P<level>entries|0|[1-9][0-9]?)/(?P<groups>(x[0-9]{3}/)*[0-9]{3})(\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_LONGEST: Final = 64
"""Characters of a path below /tile/."""

_FOR_EVER: Final = "public, max-age=31536000, immutable"
_BRIEFLY: Final = "public, max-age=2"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
    "Content-Security-Policy": "default-src 'none'",
}


def application(log: TransparencyLog, witnesses: Witnesses) -> Starlette:
    """The files as an ASGI application: GET and HEAD, nothing else."""
    files = Tiles(log, witnesses)
    routes = [Route("/checkpoint", files.checkpoint), Route("/tile/{path:path}", files.tile)]
    application = Starlette(routes=routes, exception_handlers={IdvError: _away, 404: _nothing})
    application.router.redirect_slashes = False
    return application


class Tiles:
    """Reads the log for whoever asks: at most 256 rows for a request."""

    def __init__(self, log: TransparencyLog, witnesses: Witnesses) -> None:
        self._log, self._witnesses = log, witnesses

    async def checkpoint(self, request: Request) -> Response:
        """The newest checkpoint."""
        head = await self._witnesses.cosigned(await self._log.head())
        headers = {"Cache-Control": _BRIEFLY, **_HEADERS}
        return Response(head.note, media_type="text/plain; charset=utf-8", headers=headers)

    async def tile(self, request: Request) -> Response:
        """A tile of hashes or entries; 404 where the log is too short for it, or it is spelled otherwise."""
        asked = parse(request.path_params["path"])
        if asked is None:
            return _missing()
        level, number, width = asked
        if level is None:
            rows, _ = await self._log.leaves(number * WIDTH, width)
            parts = [len(data).to_bytes(2, "big") + data for data in (row.leaf_data for row in rows)]
        else:
            parts = await self._log.tile(level * HEIGHT, number * WIDTH, width)
        if len(parts) != width:
            return _missing()
        headers = {"Cache-Control": _FOR_EVER, **_HEADERS}
        return Response(b"".join(parts), media_type="application/octet-stream", headers=headers)


def parse(path: str) -> tuple[int | None, int, int] | None:
    """Level (None: entries), number and width of the tile with this path below /tile/; None if it is none."""
    found = _PATH.fullmatch(path) if len(path) <= _LONGEST else None
    if found is None:
        return None
    groups = found["groups"].replace("x", "").split("/")
    number = int("".join(groups))
    width = int(found["width"] or WIDTH)
    level = None if found["level"] == "entries" else int(found["level"])
    one_spelling = len(groups) == 1 or groups[0] != "000"
    whole = width < WIDTH if found["width"] else True
    if not one_spelling or not whole or (level or 0) > _LAST_LEVEL or number >= 1 << 55:
        return None
    return level, number, width


def _missing() -> Response:
    headers = {"Cache-Control": "no-store", **_HEADERS}
    return Response("There is no such tile.\n", 404, media_type="text/plain", headers=headers)


async def _nothing(request: Request, error: Exception) -> Response:
    return _missing()


async def _away(request: Request, error: Exception) -> Response:
    headers = {"Cache-Control": "no-store", "Retry-After": "5", **_HEADERS}
    return Response("The log cannot be read now.\n", 503, media_type="text/plain", headers=headers)

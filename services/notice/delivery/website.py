"""Whether the website shows a version: asked of the page itself, as a reader would."""

from __future__ import annotations

import aiohttp

_SECONDS = aiohttp.ClientTimeout(total=5.0)


class OwnPage:
    """The public page of this process, at `address` (`host:port`)."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def shows(self, version: int) -> bool:
        """Whether its page answers; not, while it cannot be asked."""
        url = f"http://{self._address}/en/versions/{version}"
        try:
            async with aiohttp.ClientSession(timeout=_SECONDS) as session, session.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

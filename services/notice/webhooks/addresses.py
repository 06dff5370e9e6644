"""To which addresses a webhook may lead: public ones, and those of networks that the operator allows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text."""

_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215
_COMPATIBLE: Final = IPv6Network("::/96")  # RFC 4291, 2.5.5.1: deprecated, and still routed by some systems


class AddressRefusedError(Exception):
    """A host that leads, by any of its addresses, to where a webhook may not."""


class Addresses:
    """Resolves hosts. `allowed` are networks that are let through although they are not public."""

    def __init__(self, allowed: Iterable[Network] = (), resolve: Resolve | None = None) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolve or system_addresses

    async def of(self, host: str, port: int) -> list[Address]:
        """The addresses of a host, asked for once: whoever connects does so to one of these.

        Raises AddressRefusedError unless every one of them may be used, OSError where there is none.
        """
        found = [ip_address(text.partition("%")[0]) for text in await self._resolve(host, port)]
        if not found:
            raise OSError("the host has no address")
        if not all(map(self._usable, found)):
            raise AddressRefusedError
        return found

    def _usable(self, address: Address) -> bool:
        """Every address that this one stands for must be public: a tunnel must not lead around the rule."""
        return any(_within(address, network) for network in self._allowed) or all(
            one.is_global and not one.is_multicast and not one.is_reserved for one in _meant(address)
        )


async def system_addresses(host: str, port: int) -> list[str]:
    """What the system's resolver says. Raises OSError."""
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _meant(address: Address) -> Iterator[Address]:
    """The address, or the IPv4 address that an IPv6 one leads to (mapped, 6to4, Teredo, NAT64)."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    for network in (*_NAT64, _COMPATIBLE):
        if address in network:
            yield IPv4Address(int(address) & 0xFFFF_FFFF)
            if network is _NAT64[0]:
                return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    yield address

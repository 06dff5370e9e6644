"""Free ports on loopback.

They are chosen below the range from which the kernel takes the ports of outgoing connections, so that no
client socket can take one between the choice and the server's bind.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path

from services.local.files import write_private

LOOPBACK = "127.0.0.1"
GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC on each of its ports plus this number."""

_FIRST, _LAST = 10_240, 21_999  # plus GRPC_OFFSET stays below 32 768, where Linux begins with outgoing ports
_taken: set[int] = set()


def free_port(*, with_grpc: bool = False) -> int:
    """A port of 127.0.0.1 that nobody listens on and that this process has not handed out before.

    Args:
        with_grpc: also require `port + GRPC_OFFSET` to be free.

    Raises:
        OSError: none found in a thousand tries.
    """
    source = random.SystemRandom()
    for _ in range(1000):
        port = source.randint(_FIRST, _LAST)
        wanted = {port, port + GRPC_OFFSET} if with_grpc else {port}
        if not wanted & _taken and all(is_free(each) for each in wanted):
            _taken.update(wanted)
            return port
    raise OSError("no free port on loopback: stop some of the servers that listen there")


def is_free(port: int) -> bool:
    """Whether a server could bind this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class PortBook:
    """Ports by name, written down so that a later run of the same directory has the same addresses.

    A recorded port that somebody else listens on meanwhile is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recorded: dict[str, int] = {}
        self._ports: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._recorded = json.loads(path.read_text())

    @property
    def recorded(self) -> Mapping[str, int]:
        """What is written down, whether it is free or not."""
        return dict(self._recorded)

    def port(self, name: str, *, with_grpc: bool = False) -> int:
        """The port of this name; the same for the life of this book."""
        if name not in self._ports:
            recorded = self._recorded.get(name)
            if recorded and is_free(recorded) and (not with_grpc or is_free(recorded + GRPC_OFFSET)):
                self._ports[name] = recorded
            else:
                self._ports[name] = self._recorded[name] = free_port(with_grpc=with_grpc)
                write_private(self._path, json.dumps(self._recorded, indent=2))
        return self._ports[name]

    def address(self, name: str) -> str:
        """`127.0.0.1:port`."""
        return f"{LOOPBACK}:{self.port(name)}"

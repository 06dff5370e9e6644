"""Free ports on loopback.

They are chosen below the range from which the kernel takes the ports of outgoing connections, so that no
client socket can take one between the choice and the server's bind.
"""

from __future__ import annotations

import random
import socket

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
        wanted = (port, port + GRPC_OFFSET) if with_grpc else (port,)
        if not _taken.intersection(wanted) and all(is_free(each) for each in wanted):
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

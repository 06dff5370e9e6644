"""Import a service before it may start: `python -m services.local.early NAME serve NAME --config FILE`.

Importing is most of its start and needs nothing, so it is done while the servers come up. When standard
input ends, this process goes on as `python -m services serve NAME --config FILE`.
"""

from __future__ import annotations

import runpy
import sys
from importlib import import_module


def main() -> None:
    """Import, wait for the end of standard input, become the command that the other arguments say."""
    import_module(f"services.{sys.argv[1]}.main")
    sys.stdin.buffer.read()
    del sys.argv[1]
    runpy.run_module("services", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""The services of the suite, what they run on, and the `idv` command."""

import os

# Read when gRPC is loaded: what its core writes to standard error by itself can name callers' addresses.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

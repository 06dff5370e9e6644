"""`python -m services` is the `idv` command."""

from services.cli import main

main()

"""Measures the suite beside the bare limits of the same machine, in the same run: `make bench`."""

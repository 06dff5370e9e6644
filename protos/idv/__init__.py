"""Contracts of the ID Verification privacy suite, the stubs made from them, and light client helpers."""

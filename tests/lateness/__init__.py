"""A simulation of months of expiry."""

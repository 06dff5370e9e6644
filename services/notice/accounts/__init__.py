"""Customers: who they are, where they are written to, and what they may ask for."""

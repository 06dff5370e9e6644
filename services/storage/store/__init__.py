"""All SQL of the storage service, by subject. Functions take a connection inside a transaction and never
commit.
"""

"""The zero-setup stack: real PostgreSQL, S3, mail sink, certificates and the four services on loopback.

Everything lives below one directory and runs as processes of the user who started it. Nothing here is used in
production; the services cannot tell the difference, because they get ordinary settings files.
"""

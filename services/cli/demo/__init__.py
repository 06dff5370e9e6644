"""`idv demo`: a narrated run on fresh real services.

Each promise is shown, checked, and backed by evidence.
"""

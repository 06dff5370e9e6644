"""The characters of generated texts."""

from __future__ import annotations

from hypothesis import strategies as st

CHARACTERS = st.characters(exclude_categories=["Cs"])
"""Every one but the halves of surrogate pairs, which UTF-8 cannot hold.

Hypothesis's default says the same by asking the codec about each of a million characters: on a machine where
it never ran that takes seconds, in the middle of a test's first draw.
"""

CHARACTERS.validate()  # reads its table of categories now, and in no test's first draw

"""What the format modules hand back: the bytes to keep, and the kinds of thing that were taken out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Removed(StrEnum):
    """A kind of thing that was taken out, as told to the sender. Never what it said."""

    ACTION = "action"
    ANNOTATION = "annotation"
    ANIMATION = "animation"
    ATTACHMENT = "attachment"
    COMMENT = "comment"
    EXIF = "exif"
    FORM = "form"
    INFORMATION = "information"
    IPTC = "iptc"
    JAVASCRIPT = "javascript"
    THUMBNAIL = "thumbnail"
    TRAILING_DATA = "trailing_data"
    VENDOR_DATA = "vendor_data"
    XMP = "xmp"


@dataclass(frozen=True, slots=True)
class Stripped:
    """A body without its metadata."""

    body: bytes
    removed: frozenset[Removed]


@dataclass(frozen=True, slots=True)
class Still(Stripped):
    """A picture without its metadata, and the size in pixels that its header declares."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """How many pixels a decoder will make of it."""
        return self.width * self.height

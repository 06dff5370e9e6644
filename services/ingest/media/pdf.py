"""Rebuilds a PDF from its pages: what is needed to show them is copied, everything else stays behind.

Kept: pages, their boxes, content, fonts, colours, pictures, and how annotations look. Gone: document
information, XMP, scripts, actions, links, forms, attachments, layers' and structure's names, thumbnails,
private data, all earlier revisions, and the metadata of embedded pictures. Encrypted files are refused.

Source: ISO 32000-2.
"""

from __future__ import annotations

import io
from typing import Any

import pypdf
import pypdf.errors
from pypdf.generic import DictionaryObject

from services.ingest.media.fault import too_complex, truncated, undecodable
from services.ingest.media.pdf_copy import Copier
from services.ingest.media.pdf_rules import TOLD
from services.ingest.media.pdf_streams import StreamBudget
from services.ingest.media.stripped import Removed, Stripped

MAGIC = b"%PDF-"
_NAME = "PDF"
_TAIL = 1024
_LIMITED = (
    "zlib_maximum_output_length",
    "lzw_maximum_output_length",
    "run_length_maximum_output_length",
    "array_based_stream_maximum_output_length",
    "stream_decoding_work_maximum_length",
)


def _left_behind(reader: pypdf.PdfReader) -> set[Removed]:
    """What the document holds outside its pages, as told to the sender."""
    catalogue: dict[str, Any] = dict(reader.root_object)
    outside = [catalogue, dict(reader.trailer)]
    for key in ("/Names", "/OpenAction"):
        found = catalogue[key].get_object() if key in catalogue else None
        outside += [found] if isinstance(found, DictionaryObject) else []
    return {told for entries in outside for key, told in TOLD.items() if key in entries and key != "/ID"}


def _rebuild(body: bytes, most_pages: int, budget: StreamBudget) -> Stripped:
    # Strict: a reader that guesses past a broken dictionary may take a picture, metadata and all, for a
    # plain stream.
    reader = pypdf.PdfReader(io.BytesIO(body), strict=True)
    if reader.is_encrypted:
        raise undecodable(_NAME, "is encrypted")
    pages = len(reader.pages)
    if not pages:
        raise undecodable(_NAME, "has no pages")
    if pages > most_pages:
        raise too_complex(f"the PDF has more than {most_pages} pages", "send only the pages of the document")
    copier = Copier(reader, budget)
    copier.removed |= _left_behind(reader)
    for page in reader.pages:
        copier.page(page)
    return Stripped(copier.write(), frozenset(copier.removed))


def strip(body: bytes, *, most_pages: int, most_pixels: int, expanded_bytes: int) -> Stripped:
    """The PDF rebuilt without metadata, scripts, files and actions, every kept stream proved to expand.

    `expanded_bytes` bounds what all streams together expand to, `most_pixels` each picture. Raises
    MediaError.
    """
    if b"%%EOF" not in body[-_TAIL:]:
        raise truncated(_NAME)
    budget = StreamBudget(expanded_bytes, most_pixels)
    limits: dict[str, Any] = dict.fromkeys(_LIMITED, expanded_bytes)
    with pypdf.apply_configuration(jbig2dec_binary=None, disable_legacy_handling=True, **limits):
        try:
            return _rebuild(body, most_pages, budget)
        except pypdf.errors.LimitReachedError:
            raise too_complex("the PDF is more complex than allowed", "send a simpler file") from None
        except (pypdf.errors.PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError):
            # pypdf reads files of any origin and lets these through for structures that it did not foresee.
            raise undecodable(_NAME, "cannot be read") from None
        except (RecursionError, OverflowError, AssertionError, NotImplementedError, OSError):
            raise undecodable(_NAME, "cannot be read") from None

"""Which entries of a PDF's dictionaries are kept. Every kind of dictionary has an allow-list.

Source: ISO 32000-2, 7.4 (filters), 7.7.3 (pages), 7.10 (functions), 8.4.5 (graphics state), 8.6 (colour
spaces), 8.7 (patterns), 8.9.5 (images), 8.10 (forms), 9 (fonts), 10.6 (halftones), 11 (transparency), 12.5
(annotations).
"""

from __future__ import annotations

from services.ingest.media.stripped import Removed


def _names(text: str) -> frozenset[str]:
    return frozenset(f"/{name}" for name in text.split())


PAGE = _names(
    "Type MediaBox CropBox BleedBox TrimBox ArtBox Rotate UserUnit Resources Contents Group Annots",
)
RESOURCES = _names("Font XObject ExtGState ColorSpace Pattern Shading ProcSet")
IMAGE = _names(
    "Type Subtype Width Height ColorSpace BitsPerComponent ImageMask Mask SMask Decode Interpolate"
    " Intent SMaskInData Matte",
)
FORM = _names("Type Subtype FormType BBox Matrix Resources Group")
ANNOTATION = _names("Type Subtype Rect AP AS F Border")
"""What an annotation looks like stays; what it says, links to or does goes."""
APPEARING = _names(
    "Widget Stamp FreeText Ink Highlight Underline StrikeOut Squiggly Line Square Circle Polygon PolyLine",
)
"""Annotations that show something on the page; all others go whole."""

_FONT = _names(
    "Type Subtype BaseFont FirstChar LastChar Widths FontDescriptor Encoding ToUnicode Name FontBBox"
    " FontMatrix CharProcs Resources DescendantFonts CIDSystemInfo DW W DW2 W2 CIDToGIDMap"
    " BaseEncoding Differences CMapName WMode UseCMap Registry Ordering Supplement FontName FontFamily"
    " FontStretch FontWeight Flags ItalicAngle Ascent Descent Leading CapHeight XHeight StemV StemH"
    " AvgWidth MaxWidth MissingWidth FontFile FontFile2 FontFile3 CharSet Style FD CIDSet Length1"
    " Length2 Length3",
)
_COLOUR = _names(
    "N Alternate Range WhitePoint BlackPoint Gamma Matrix Colorants Process MixingHints ColorSpace"
    " Components Solidities PrintingOrder DotGain FunctionType Domain Size BitsPerSample Order Encode"
    " Decode C0 C1 Functions Bounds",
)
_PATTERN = _names(
    "PatternType PaintType TilingType BBox XStep YStep Shading ExtGState ShadingType Background"
    " AntiAlias Coords Function Extend BitsPerCoordinate BitsPerComponent BitsPerFlag VerticesPerRow",
)
_GRAPHICS_STATE = _names(
    "LW LC LJ ML D RI OP op OPM Font BG BG2 UCR UCR2 TR TR2 HT FL SM SA BM SMask CA ca AIS TK S G BC"
    " CS I K HalftoneType HalftoneName Frequency Angle SpotFunction AccurateScreens TransferFunction"
    " Width Height Xsquare Ysquare Width2 Height2 Default Gray Red Green Blue Cyan Magenta Yellow"
    " Black",
)
_DECODING = _names(
    "Predictor Colors Columns EarlyChange EndOfLine EncodedByteAlign Rows EndOfBlock BlackIs1"
    " DamagedRowsBeforeError JBIG2Globals ColorTransform",
)
GRAPHICS = _FONT | _COLOUR | _PATTERN | _GRAPHICS_STATE | _DECODING
"""Entries of fonts, colour spaces, functions, patterns, graphics states and decoding parameters."""

ACTIONS = _names(
    "JavaScript Launch URI GoTo GoToR GoToE SubmitForm ResetForm ImportData Named Rendition Movie"
    " Sound Thread Trans SetOCGState GoTo3DView RichMediaExecute Hide GoToDp",
)
"""Values of `/S` that make a dictionary an action."""
FILES = _names("EmbeddedFile Filespec F")
"""Values of `/Type` that make a dictionary a file or name one."""

_TOLD = {
    Removed.XMP: "Metadata",
    Removed.VENDOR_DATA: "PieceInfo Private Measure PtData VP",
    Removed.INFORMATION: "LastModified Info ID Names Outlines Properties",
    Removed.THUMBNAIL: "Thumb",
    Removed.ACTION: "A AA PA OpenAction URI",
    Removed.JAVASCRIPT: "JS JavaScript",
    Removed.ATTACHMENT: "AF EF FS EmbeddedFiles Ref OPI",
    Removed.FORM: "AcroForm",
}
TOLD = {name: removed for removed, names in _TOLD.items() for name in _names(names)}
"""What the sender is told when an entry is left behind; nothing for entries that only tie a file together."""

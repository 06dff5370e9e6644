"""How many bytes the pixels of an embedded picture take, so that nothing else passes for a picture.

Source: ISO 32000-2, 7.4.4.4 (predictors), 8.6 (colour spaces), 8.9.5 (image dictionaries).
"""

from __future__ import annotations

from typing import Any

from pypdf.generic import ArrayObject, DictionaryObject, NameObject

from services.ingest.media.fault import truncated, undecodable

_NAME = "PDF"
_COMPONENTS = {
    **dict.fromkeys(("/DeviceGray", "/G", "/CalGray", "/Indexed", "/I", "/Separation"), 1),
    **dict.fromkeys(("/DeviceRGB", "/RGB", "/CalRGB", "/Lab"), 3),
    **dict.fromkeys(("/DeviceCMYK", "/CMYK"), 4),
}
_TAGGED_ROWS = 10
"""From this predictor on, each row begins with a byte that names its filter."""
_SLACK = 64
"""Bytes that writers leave after the last row, such as the end of a line."""


def check_size(image: DictionaryObject, size: int, parameters: Any = None) -> None:
    """Raises MediaError unless `size` bytes are what the picture's dictionary declares.

    `parameters` are the decoding parameters of data that was measured before its predictor was undone.
    """
    width, height = number(image, "/Width"), number(image, "/Height")
    if width <= 0 or height <= 0:
        raise undecodable(_NAME, "has a picture without a size")
    components, bits = _depth(image)
    if components <= 0 or bits <= 0:
        raise undecodable(_NAME, "has a picture in no known colour space")
    tag = 1 if number(_resolved(parameters), "/Predictor") >= _TAGGED_ROWS else 0
    expected = height * (tag + (width * components * bits + 7) // 8)
    if size < expected:
        raise truncated(_NAME)
    if size > expected + _SLACK:
        raise undecodable(_NAME, "has a picture with more bytes than its size needs")


def _depth(image: DictionaryObject) -> tuple[int, int]:
    """Components of a pixel, 0 when the colour space is of no known kind, and bits of a component."""
    mask = _resolved(image.get("/ImageMask"))
    if mask is not None and bool(mask.value if hasattr(mask, "value") else mask):
        return 1, 1
    return _components(_resolved(image.get("/ColorSpace"))), number(image, "/BitsPerComponent")


def _components(space: Any) -> int:
    if isinstance(space, NameObject):
        return _COMPONENTS.get(str(space), 0)
    if not isinstance(space, ArrayObject) or not space:
        return 0
    kind = str(_resolved(space[0]))
    if kind == "/ICCBased" and len(space) > 1:
        return number(_resolved(space[1]), "/N")
    if kind == "/DeviceN" and len(space) > 1:
        return len(_resolved(space[1]))
    return _COMPONENTS.get(kind, 0)


def number(holder: Any, key: str) -> int:
    """The whole number that an entry holds, directly or by reference; 0 when it holds none."""
    value = _resolved(holder.get(key)) if isinstance(holder, DictionaryObject) else None
    return int(value) if isinstance(value, int | float) else 0


def _resolved(value: Any) -> Any:
    return value.get_object() if hasattr(value, "get_object") else value

"""Makes pictures and PDFs of people and cards that do not exist, with metadata planted that must not survive.

For the demonstration and the tests. The same name always makes the same bytes. Every planted text holds the
mark given, so that a test can search for it anywhere; the place planted is Null Island, where nobody lives.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import pypdf
from PIL import Image, ImageCms, ImageDraw, ImageFont, PngImagePlugin
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject, create_string_object

MARK = "PLANTED-MARK-7F3A"
"""The default mark in planted metadata."""
_ORIENTATION, _GPS, _DESCRIPTION, _MAKER = 0x0112, 0x8825, 0x010E, 0x010F
_PROFILE_DATE = slice(24, 36)  # ICC.1:2022, 7.2.8
_SKIN = ("#f1c9a5", "#e0ac7e", "#c68a5c", "#8d5a3a", "#6b4229")
_HAIR = ("#2b2118", "#5a3825", "#a8743a", "#7a7a7a", "#1c1c28")
_CLOTH = ("#3b6ea5", "#4f8a5b", "#a3485a", "#6a5a9c", "#c08a2e")


@dataclass(frozen=True, slots=True)
class Specimen:
    """A file to upload: its media type and its bytes."""

    media_type: str
    body: bytes


def _choice(name: str, what: str, options: tuple[str, ...]) -> str:
    return options[hashlib.sha256(f"{what}:{name}".encode()).digest()[0] % len(options)]


def face(name: str, width: int = 480) -> Image.Image:
    """Draws an obviously synthetic face, `width` pixels wide and a quarter higher."""
    height = width * 5 // 4
    image = Image.new("RGB", (width, height), "#dfe7ee")
    draw = ImageDraw.Draw(image)

    def box(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        return (x0 * width, y0 * height, x1 * width, y1 * height)

    skin, hair = _choice(name, "skin", _SKIN), _choice(name, "hair", _HAIR)
    draw.ellipse(box(0.05, 0.78, 0.95, 1.4), fill=_choice(name, "cloth", _CLOTH))
    draw.rectangle(box(0.42, 0.66, 0.58, 0.84), fill=skin)
    draw.ellipse(box(0.22, 0.10, 0.78, 0.62), fill=hair)
    draw.ellipse(box(0.27, 0.18, 0.73, 0.74), fill=skin)
    for x in (0.39, 0.61):
        draw.ellipse(box(x - 0.05, 0.40, x + 0.05, 0.45), fill="white")
        draw.ellipse(box(x - 0.02, 0.405, x + 0.02, 0.445), fill="#30343b")
        draw.line(box(x - 0.06, 0.36, x + 0.06, 0.355), fill=hair, width=max(2, width // 80))
    draw.arc(box(0.45, 0.44, 0.55, 0.54), 30, 150, fill="#00000055", width=max(2, width // 120))
    draw.arc(box(0.40, 0.52, 0.60, 0.64), 20, 160, fill="#a04040", width=max(3, width // 70))
    _caption(draw, "SPECIMEN", (0.5 * width, 0.95 * height), width / 12)
    return image


def card(name: str, width: int = 1012) -> Image.Image:
    """Draws an obviously synthetic identity card in the proportions of ID-1, `width` pixels wide."""
    height = width * 638 // 1012
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image = Image.blend(image, Image.new("RGB", image.size, "#cfe3d6"), 0.85)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((4, 4, width - 5, height - 5), radius=width // 24, outline="#2f5d50", width=4)
    _caption(draw, "UTOPIA  -  IDENTITY CARD", (0.5 * width, 0.09 * height), width / 22)
    portrait = face(name, width * 28 // 100)
    image.paste(portrait, (width * 5 // 100, height * 2 // 10))
    number = hashlib.sha256(name.encode()).hexdigest()[:9].upper()
    for line, text in enumerate(
        (f"Name     {name}", f"Number   {number}", "Born     1 January 1970", "Issued   never")
    ):
        draw.text((0.40 * width, (0.24 + 0.11 * line) * height), text, fill="#1d3b33", font=_font(width / 28))
    draw.rectangle((0, 0.80 * height, width, 0.97 * height), fill="#f4f7f5")
    strip = f"IDUTO{number}<<<<<<<<<<<<SPECIMEN<<<"
    draw.text((0.04 * width, 0.85 * height), strip, fill="#222222", font=_font(width / 26))
    return image


def _font(size: float) -> Any:
    return ImageFont.load_default(size)


def _caption(draw: ImageDraw.ImageDraw, text: str, centre: tuple[float, float], size: float) -> None:
    draw.text(centre, text, fill="#1d3b33", font=_font(size), anchor="mm")


def colour_profile() -> bytes:
    """A small sRGB profile, dated alike whenever it is made: specimens are the same each time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_PROFILE_DATE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def planted_exif(mark: str = MARK, orientation: int = 1) -> bytes:
    """An EXIF block with a position, a maker, a description and the orientation, prefixed as in a JPEG."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    exif[_DESCRIPTION] = f"{mark} description"
    exif[_MAKER] = f"{mark} maker"
    exif[_GPS] = {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0), 27: f"{mark} position".encode()}
    return bytes(exif.tobytes())


def planted_xmp(mark: str = MARK) -> bytes:
    """An XMP packet with a position."""
    return (
        b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
        b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        b' xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="0,0N" exif:UserComment="%b xmp"/>'
        b"</rdf:RDF></x:xmpmeta><?xpacket end='w'?>" % mark.encode()
    )


def jpeg(image: Image.Image, mark: str = MARK, *, orientation: int = 1, quality: int = 88) -> Specimen:
    """A JPEG with EXIF, XMP, IPTC, a comment and a second picture planted, and a colour profile."""
    out = io.BytesIO()
    image.save(
        out,
        "JPEG",
        quality=quality,
        exif=planted_exif(mark, orientation),
        xmp=planted_xmp(mark),
        comment=f"{mark} comment",
        icc_profile=colour_profile(),
    )
    plain = out.getvalue()
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0" + mark.encode()
    segment = b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc
    return Specimen("image/jpeg", plain[:2] + segment + plain[2:] + plain + f"{mark} trailer".encode())


def png(image: Image.Image, mark: str = MARK, *, orientation: int = 1) -> Specimen:
    """A PNG with EXIF, XMP and texts planted, a colour profile, and bytes after its end."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", f"{mark} comment")
    texts.add_text("Location", f"{mark} compressed", zip=True)
    texts.add_itxt("XML:com.adobe.xmp", planted_xmp(mark).decode())
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=texts, exif=planted_exif(mark, orientation), icc_profile=colour_profile())
    return Specimen("image/png", out.getvalue() + f"{mark} trailer".encode())


def webp(image: Image.Image, mark: str = MARK, *, orientation: int = 1, lossless: bool = False) -> Specimen:
    """A WebP with EXIF and XMP planted, a colour profile, and bytes after its end."""
    out = io.BytesIO()
    image.save(
        out,
        "WEBP",
        lossless=lossless,
        exif=planted_exif(mark, orientation),
        xmp=planted_xmp(mark),
        icc_profile=colour_profile(),
    )
    return Specimen("image/webp", out.getvalue() + f"{mark} trailer".encode())


def pdf(image: Image.Image, mark: str = MARK, *, pages: int = 1) -> Specimen:
    """A PDF of the picture, with information, XMP, scripts, actions, an attachment and EXIF planted."""
    writer = pypdf.PdfWriter()
    for _ in range(pages):
        _pdf_page(writer, image, mark)
    writer.add_metadata({"/Author": f"{mark} author", "/Keywords": f"{mark} keywords"})
    writer.add_attachment(f"{mark}.txt", f"{mark} attachment".encode())
    script = {"/S": NameObject("/JavaScript"), "/JS": create_string_object(f"app.alert('{mark} script')")}
    scripts = ArrayObject([create_string_object("start"), writer._add_object(_entries(script))])
    names: Any = writer.root_object["/Names"]
    names[NameObject("/JavaScript")] = _entries({"/Names": scripts})
    packet = DecodedStreamObject()
    packet.set_data(planted_xmp(mark))
    packet[NameObject("/Type")] = NameObject("/Metadata")
    packet[NameObject("/Subtype")] = NameObject("/XML")
    writer.root_object[NameObject("/Metadata")] = writer._add_object(packet)
    action = {"/S": NameObject("/Launch"), "/F": create_string_object(f"{mark} program")}
    writer.root_object[NameObject("/OpenAction")] = _entries(action)
    out = io.BytesIO()
    writer.write(out)
    return Specimen("application/pdf", out.getvalue())


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes whose header declares `width` by `height` pixels and whose stream has some."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 2, 0, 0, 0))
    pixels = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _entries(values: dict[str, Any]) -> DictionaryObject:
    return DictionaryObject({NameObject(key): value for key, value in values.items()})


def _pdf_page(writer: pypdf.PdfWriter, image: Image.Image, mark: str) -> None:
    picture = DecodedStreamObject()
    picture.set_data(jpeg(image, mark).body)
    for key, name in {
        "/Type": "/XObject",
        "/Subtype": "/Image",
        "/Filter": "/DCTDecode",
        "/ColorSpace": "/DeviceRGB",
    }.items():
        picture[NameObject(key)] = NameObject(name)
    for key, number in {"/Width": image.width, "/Height": image.height, "/BitsPerComponent": 8}.items():
        picture[NameObject(key)] = pypdf.generic.NumberObject(number)
    page = writer.add_blank_page(width=595, height=842)
    content = DecodedStreamObject()
    content.set_data(b"q 400 0 0 %d 97 400 cm /Card Do Q" % (400 * image.height // image.width))
    page[NameObject("/Contents")] = writer._add_object(content.flate_encode())
    pictures = _entries({"/Card": writer._add_object(picture)})
    page[NameObject("/Resources")] = _entries({"/XObject": pictures})
    link = _entries(
        {
            "/Type": NameObject("/Annot"),
            "/Subtype": NameObject("/Link"),
            "/Rect": ArrayObject(pypdf.generic.NumberObject(side) for side in (0, 0, 90, 20)),
            "/A": _entries(
                {"/S": NameObject("/URI"), "/URI": create_string_object(f"https://{mark}.example")}
            ),
            "/Contents": create_string_object(f"{mark} note"),
        }
    )
    page[NameObject("/Annots")] = ArrayObject([writer._add_object(link)])
    page[NameObject("/PieceInfo")] = _entries({"/App": create_string_object(f"{mark} private")})

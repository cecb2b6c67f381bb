"""What a file holds, by how it begins: names lie, and so do the suffixes of addresses."""

import re
from pathlib import Path
from typing import Literal

Kind = Literal["picture", "video", "shard"]
"""A shard holds pictures inside, for the workers of a cluster alone."""

HEAD = 4096
"""So many bytes tell what a file is."""

_BRANDS = rb"....ftyp(?:....){0,15}?"  # of files in boxes: MP4, HEIF and their kin

_PICTURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "BMP": rb"BM.{4}\0\0\0\0",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "Netpbm": rb"P[1-7Ff][\s#]",
    "Sun raster": rb"\x59\xa6\x6a\x95",
    "Radiance HDR": rb"#\?R(?:ADIANCE|GBE)",
    "AVIF": _BRANDS + rb"avi[fs]",
    "HEIC": _BRANDS + rb"(?:he[iv][cxms]|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG XR": rb"II\xbc",
    "Photoshop": rb"8BPS",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "DDS": rb"DDS ",
    "camera raw": rb"....ftypcrx |FUJIFILMCCD-RAW|IIRO|IIRS|IIU\0|MMOR|\0MRM|FOVb",
}
"""The formats of still pictures, whether OpenCV reads them or not. Of two that match, the first is meant."""

_VIDEO = (
    rb"....(?:ftyp|moov|mdat|wide|free|skip|pnot)|RIFF....AVI |\x1a\x45\xdf\xa3|FLV\x01|OggS|DKIF|nut/"
    rb"|\0\0\0?\x01(?:[\x06\x09\x27\x47\x67\xb0\xb3\xb5\xba]|[\x40\x42\x46]\x01)"  # MPEG streams without a container
    rb"|\x1f\x07\0[\xbf\x3f]|\xb7\xd8\0\x20\x37\x49\xda\x11"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|G.{187}G|.{4}G.{191}G|YUV4MPEG2|\x06\x0e\x2b\x34|\.RMF"
)
_BEGINNINGS = {name: re.compile(pattern, re.DOTALL) for name, pattern in _PICTURES.items()}
_VIDEO_BEGINS = re.compile(_VIDEO, re.DOTALL)

_PICTURE_SUFFIX = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|png|apng|webp|bmp|dib|gif|tiff?|avif|hei[cf]|jp2|p[pgbn]m|pam|pfm|ras|sr|hdr|jxl|psd|exr"
    r"|dng|cr[23]|nef|arw|orf|rw2|raf)",
    re.IGNORECASE,
)
_VIDEO_SUFFIX = re.compile(r"\.(mp4|m4v|mov|avi|mkv|webm|mpe?g|mjpe?g|m?ts|m2ts|wmv|flv|ogv|3gp)", re.IGNORECASE)


def format_of(head: bytes) -> str | None:
    """The format of a still picture that begins so, whether it can be read or not; None for anything else."""
    return next((name for name, begins in _BEGINNINGS.items() if begins.match(head)), None)


def kind_of(head: bytes, suffix: str = "") -> Kind | None:
    """What begins so; where that says nothing, what the suffix promises. None is neither."""
    if format_of(head) is not None and suffix.lower() not in (".mjpg", ".mjpeg"):  # one JPEG after another
        return "picture"
    if _VIDEO_BEGINS.match(head):
        return "video"
    if _PICTURE_SUFFIX.fullmatch(suffix):
        return "picture"
    return "video" if _VIDEO_SUFFIX.fullmatch(suffix) else None


def is_text(head: bytes) -> bool:
    """Whether it may be a text, some of which FFmpeg takes for videos."""
    return kind_of(head) != "video" and b"\0" not in head


def kind_of_file(path: Path) -> Kind | None:
    """The kind of a file; OSError when it cannot be read."""
    with path.open("rb") as file:
        return kind_of(file.read(HEAD), path.suffix)

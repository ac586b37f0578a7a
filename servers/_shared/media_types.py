"""Media types by the endings of names: those that models take. The same on every machine."""

from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

_BY_ENDING: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".pdf": "application/pdf",
    ".json": "application/json",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".xml": "text/xml",
}


def by_name(name: str | None) -> str | None:
    """Return the media type of a file that is called so; None if its ending tells none."""
    return _BY_ENDING.get(PurePosixPath(name or "").suffix.lower())


def is_data(url: str) -> bool:
    """Whether it holds the file itself (RFC 2397)."""
    return url[:5].lower() == "data:"


def by_url(url: str) -> str | None:
    """Return the media type that a URL tells: a `data:` URL says it, others end like a file."""
    if is_data(url):
        head = url[5:300].partition(",")[0].partition(";")[0].strip()
        return head or None
    try:
        return by_name(unquote(urlsplit(url).path))
    except ValueError:
        return None

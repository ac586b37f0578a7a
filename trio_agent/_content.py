"""What is said beside text: files, and texts among them."""

from typing import TypeAlias

import msgspec


class Part(msgspec.Struct, frozen=True, rename="camel", tag_field="type", omit_defaults=True):
    """A piece of a message's content. In JSON the `type` tells what it is."""


class Text(Part, frozen=True, tag="text"):
    """A text among files."""

    text: str


class File(Part, frozen=True, tag="file"):
    """An image, a recording, a document: exactly one of `url`, `data` and `blob`.

    `data` is the file itself (base64 in JSON). `url` is where the provider finds it: nobody here
    looks. `blob` is ``{run id}/{SHA-256 in hex}``: it was given to that run. Nothing is checked
    before a run is started with it.
    """

    media_type: str
    """Such as ``image/png``; ``image/*`` if it is a `url` of which no more is known."""
    url: str | None = None
    data: bytes | None = None
    blob: str | None = None
    name: str | None = None
    """What the user calls it, for providers that want to know."""


Content: TypeAlias = str | tuple[Text | File, ...]
"""What a user may say."""


def text_of(content: Content) -> str:
    """Return what of a content is text, without the files."""
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, Text))

"""The data of a file as JSON can hold it."""

from base64 import b64encode

from ..._messages import File


def in_base64(file: File) -> str:
    """Return the data of a file that has it."""
    assert file.data is not None
    return b64encode(file.data).decode()


def data_url(file: File) -> str:
    """Return a URL that holds the file itself. Source: RFC 2397."""
    return f"data:{file.media_type};base64,{in_base64(file)}"

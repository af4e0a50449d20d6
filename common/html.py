"""What the project's own HTML files share: each is one file with everything in it, and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from common.heavy import jinja2


def environment(folder: Path, trim: bool = False) -> jinja2.Environment:
    """Templates of a folder: every value is escaped, and a name that is not given is an error.

    trim: a line that holds only a block tag leaves no line in the file.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=trim,
        lstrip_blocks=trim,
    )


def digest(text: str) -> str:
    """SHA-256 of a script or a style in base64, by which a Content-Security-Policy allows this very one."""
    return encoded(hashlib.sha256(text.encode("utf-8")).digest())


def data_uri(kind: str, data: bytes) -> str:
    """A file inside the page itself; `kind` is its media type: "image/jpeg"."""
    return f"data:{kind};base64,{encoded(data)}"


def encoded(data: bytes) -> str:
    """Bytes in base64, as text."""
    return base64.b64encode(data).decode("ascii")

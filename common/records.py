"""What a JSON artifact holds, declared once as a type, and the one door through which it is read and written.

    class Baseline(Record):
        n: int  # captions
        recall: Interval = field(name="R@1")

A field's comment says what it is. One with a default may be absent, and isn't written where it has it.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import field
from msgspec.structs import replace

from common import files
from common.errors import UserError
from common.settings import shown

__all__ = ["Record", "field", "names", "plain", "read", "replace", "write"]


Kind = TypeVar("Kind", bound="Record")


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON object with the fields of the class, in their order. Keys that it doesn't know are ignored."""


def names(kind: type[Record], required: bool = False) -> list[str]:
    """The keys of a record in its file, in order: all of them, or only those that must be there."""
    fields = msgspec.structs.fields(kind)
    return [each.encode_name for each in fields if each.required or not required]


def plain(record: Record) -> dict:
    """A record as JSON's own types."""
    return msgspec.to_builtins(record)


def parse(content: object, kind: type[Kind], name: str, again: str) -> Kind:
    """JSON's own types as a record; `name` and `again` are for the message, as for `read`."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{name} does not hold what this version writes ({error}): {again}") from error


def read(path: Path, kind: type[Kind], again: str) -> Kind:
    """Read an artifact. `again` is what a user does to get it again: "run `python main.py` again".

    Raises UserError where the file is not JSON, lacks a field, or has a value of another type.
    """
    return parse(files.read_json(path), kind, shown(path), again)


def write(path: Path, record: Record) -> None:
    """Write an artifact: whole, UTF-8, keys in the order of the declaration."""
    files.write_json(path, plain(record))

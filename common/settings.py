"""A script's settings: the constants between its two fences, and the same names once from the terminal.

    # ---- settings ------------------------------------------------------------------------------------
    NUM_IMAGES: int = 5000  # images to sample
    SEED: int | None = None  # None means the cache's
    # --------------------------------------------------------------------------------------------------

`settings = override(globals())`, the first line of a script's `main`, reads the options of the command line
(`--num-images 500` for NUM_IMAGES) and returns all of them as one record: `settings.NUM_IMAGES`.
The kind of a value is the constant's annotation (without one, the type of its value), so no option is written
twice, and a slip of the editor such as `NUM_IMAGES: int = "5000"` is distinguished from a bug.
"""

import ast
import dataclasses
import difflib
import os
import re
import sys
import types
import typing
from collections.abc import Collection
from pathlib import Path

from common import commands
from common.errors import SettingError

PROJECT_DIR = commands.ROOT
# What the folders are where nobody names others. While the bundled sample is used, these alone give way to
# their `sample/`: a folder that a user names is used as it is.
DEFAULT_FOLDERS = tuple(PROJECT_DIR / name for name in ("cache", "failure_analysis", "final_results"))
FENCE = re.compile(r"^# -{4,}")
FOLDER = ("_DIR", "_FILE", "COMPARE")  # how a setting ends that is a path, or a list of paths


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of one run, a field for each constant of the script's block, under the same name."""

    def but(self, **changed) -> "Settings":
        """The same with some values changed: `settings.but(SEED=42)`."""
        return dataclasses.replace(self, **changed)

    def values(self) -> dict[str, object]:
        """What defines the run, for an artifact's provenance: all settings but folders and files."""
        fields = dataclasses.fields(self)
        return {each.name: getattr(self, each.name) for each in fields if not each.name.endswith(FOLDER)}


def override(module: dict, arguments: list[str] | None = None) -> Settings:
    """The settings of a script's `globals()`, those that the terminal names in place of the block's.

    `arguments` is `sys.argv[1:]` by default. `--help` prints the script's purpose and its settings and exits.
    Names that end as FOLDER says become absolute Paths. A relative one starts at the current folder where
    it was typed, and at the project's where it is a script's constant; the three folders of a study start
    at STUDY_DIR where that is given. Raises SettingError for an unknown option and for a value of the wrong
    kind, naming the legal ones.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    block = _fenced_block(Path(module["__file__"]).read_text(encoding="utf-8"))
    kinds = {name: _kind(annotation, module[name]) for name, annotation in _assigned(block).items()}
    values = {name: module[name] for name in kinds}
    if "--help" in arguments or "-h" in arguments:
        print(_help(module["__doc__"], block, values, Path(module["__file__"]).name))
        sys.exit(0)
    commands.forget()
    typed = dict(_pairs(arguments, list(kinds)))
    for name, text in typed.items():
        values[name] = _convert(name, text, kinds[name])
        commands.note(name, text)
    for name, value in values.items():
        if not _fits(value, kinds[name]):
            legal = _kind_words(kinds[name])
            raise SettingError(f"{name} = {value!r} in the settings: should be {legal}")
        if name.endswith(FOLDER) and value is not None:
            start = Path.cwd() if name in typed else _start(name, values.get("STUDY_DIR"), typed)
            given = value if isinstance(value, list) else [value]
            if not all(map(str, given)):  # "$STUDY" of a shell where it isn't set, say
                raise SettingError(f"{name} is empty: name a folder or file, or leave it out")
            paths = [_writable(name, start / Path(each).expanduser()) for each in given]
            values[name] = paths if isinstance(value, list) else paths[0]
        elif name == "MODEL_NAME" and name in typed and Path(value).is_dir():  # else a name of the hub
            values[name] = str(Path.cwd() / value)
    record = dataclasses.make_dataclass("Settings", list(kinds.items()), bases=(Settings,), frozen=True)
    return record(**values)


def _start(name: str, study: str | Path | None, typed: dict[str, str]) -> Path:
    """The folder that a relative constant of a script is seen from."""
    if study is None or name not in commands.STUDY[1:]:
        return PROJECT_DIR
    return (Path.cwd() if "STUDY_DIR" in typed else PROJECT_DIR) / Path(study).expanduser()


def _writable(name: str, path: Path) -> Path:
    """The path, if results can name it: JSON and CSV files are UTF-8. Raises SettingError otherwise."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        name_as_bytes = os.fsencode(path)
        told = name_as_bytes.decode("utf-8", "backslashreplace")
        reason = "its name is not valid UTF-8; rename the folder or file"
        if told.encode("utf-8") == name_as_bytes:  # a locale such as C, and PYTHONUTF8 = 0
            reason = f"Python takes names for {sys.getfilesystemencoding()} here; set PYTHONUTF8=1"
        raise SettingError(f"{name} = {told}: {reason}") from error
    return path


def at_least(least: float, **values: float | None) -> None:
    """Raise SettingError for a number below `least`; None, where a setting may be None, is legal.

    `at_least(1, NUM_IMAGES=settings.NUM_IMAGES)`
    """
    for name, value in values.items():
        if value is not None and value < least:
            raise SettingError(f"{name} = {value}: should be {least} or more")


def one_of(legal: Collection[str], **values: str | list[str]) -> None:
    """Raise SettingError for a text that is not legal, or for a list that is empty or holds such a text."""
    for name, value in values.items():
        given = value if isinstance(value, list) else [value]
        if not given or any(each not in legal for each in given):
            raise SettingError(f"{name} = {','.join(given)}: should be of {', '.join(legal)}")


def shown(path: Path) -> str:
    """A path as a message shows it: relative to the project's folder where it is inside."""
    path = Path(path)
    return str(path.relative_to(PROJECT_DIR)) if path.is_relative_to(PROJECT_DIR) else str(path)


def _fenced_block(source: str) -> str:
    """The lines between the first two fence comments of a script."""
    lines = source.splitlines()
    fences = [number for number, line in enumerate(lines) if FENCE.match(line)]
    return "\n".join(lines[fences[0] + 1 : fences[1]])


def _assigned(block: str) -> dict[str, ast.expr | None]:
    """Names of the constants in the block, in order, each with its annotation (None: it has none)."""
    names = {}
    for node in ast.parse(block).body:
        if isinstance(node, ast.AnnAssign):
            names[node.target.id] = node.annotation
        elif isinstance(node, ast.Assign):
            names[node.targets[0].id] = None
    return names


def _kind(annotation: ast.expr | None, value) -> object:
    """The type that a setting's values have: `int`, `list[str]`, `int | None` and the like."""
    if annotation is not None:
        return eval(ast.unparse(annotation))  # the script's own source, not the user's input
    if isinstance(value, list):
        return list[type(value[0]) if value else str]
    return type(value)


def _pairs(arguments: list[str], names: list[str]) -> list[tuple[str, str]]:
    """Split `--num-images 500 --dtype=float16` into (name, text) pairs."""
    legal = {"--" + name.lower().replace("_", "-"): name for name in names}
    pairs, rest = [], list(arguments)
    while rest:
        option, equals, text = rest.pop(0).partition("=")
        if option not in legal:
            near = difflib.get_close_matches(option, legal, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise SettingError(f"unknown option {option}{hint}. Legal: {' '.join(legal)} --help")
        if not equals:
            if not rest:
                raise SettingError(f"{option} needs a value: `{option} <value>`")
            text = rest.pop(0)
        pairs.append((legal[option], text))
    return pairs


def _convert(name: str, text: str, kind) -> object:
    """The terminal's text as a value of the setting's kind."""
    members = _members(kind)
    try:
        if types.NoneType in members and text == "None":
            return None
        first = next(member for member in members if member is not types.NoneType)
        if first is bool:
            return {"True": True, "False": False}[text]
        if typing.get_origin(first) is list:
            (item,) = typing.get_args(first)
            return [item(part.strip()) for part in text.split(",") if part.strip()]
        return first(text)
    except (ValueError, KeyError) as error:
        option = "--" + name.lower().replace("_", "-")
        raise SettingError(f"{option} {text}: should be {_kind_words(kind)}") from error


def _fits(value, kind) -> bool:
    """Whether a value in the block is of its kind, so that a slip of the editor gets a message."""
    for member in _members(kind):
        if typing.get_origin(member) is list:
            (item,) = typing.get_args(member)
            if isinstance(value, list) and all(isinstance(part, item) for part in value):
                return True
        elif member is float and type(value) is int:
            return True
        elif type(value) is member or (isinstance(value, member) and not isinstance(value, bool)):
            return True
    return False


def _members(kind) -> tuple:
    """The alternatives of a union, or the kind alone."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


WORDS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    bool: ("True or False", "True or False"),
    types.NoneType: ("None", "None"),
}


def _kind_words(kind) -> str:
    """A kind in a user's words."""
    words = []
    for member in _members(kind):
        if typing.get_origin(member) is list:
            words.append(f"{WORDS[typing.get_args(member)[0]][1]}, separated by commas")
        else:
            words.append(WORDS[member][0] if member in WORDS else "a path")
    return " or ".join(words)


def _help(doc: str, block: str, values: dict[str, object], script: str) -> str:
    """The script's docstring, then its settings in plain values with their comments."""
    first = next(name for name in values if not isinstance(values[name], list))
    example = f"--{first.lower().replace('_', '-')} {_plain(values[first])}"
    comments = _comments(block)
    lines = [f"{name} = {_plain(value)}  # {comments[name]}" for name, value in values.items()]
    return (
        f"{doc.strip()}\n\nSettings (edit them at the top of {script}, or give one for this run alone:\n"
        f"`{example}` sets {first}; True or False for a boolean; commas between a list's items):\n\n"
        + "\n".join(lines)
    )


def _plain(value: object) -> str:
    """A value as it is typed on the terminal."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _comments(block: str) -> dict[str, str]:
    """Name of each constant -> the comment at the end of its first line."""
    found = {}
    for line in block.splitlines():
        name = re.match(r"[A-Z]\w*", line)
        if name:
            found[name[0]] = line.partition("  # ")[2]
    return found

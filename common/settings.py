"""A script's settings: the constants between its two fences, and the same names once from the terminal.

    # ---- settings ------------------------------------------------------------------------------------
    NUM_IMAGES: int = 5000  # images to sample
    SEED: int | None = None  # None means the cache's
    # --------------------------------------------------------------------------------------------------

`override(globals())`, the first line of a script's `main`, reads the options of the command line
(`--num-images 500` for NUM_IMAGES), puts their values into the module, and makes paths absolute.
The kind of a value is the constant's annotation (without one, the type of its value), so no option is written
twice, and a slip of the editor such as `NUM_IMAGES: int = "5000"` is told from a bug.
"""

import ast
import difflib
import re
import sys
import types
import typing
from pathlib import Path

from common.errors import UserError

PROJECT_DIR = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^# -{4,}")


def override(module: dict, arguments: list[str] | None = None) -> None:
    """Overwrite the settings of a script's `globals()` with the terminal's options.

    `arguments` is `sys.argv[1:]` by default. `--help` prints the script's purpose and its block of settings
    and exits. Names that end in _DIR or _FILE become absolute Paths; relative ones start at the project's
    folder. Raises UserError for an unknown option and for a value of the wrong kind, naming the legal ones.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    block = _fenced_block(Path(module["__file__"]).read_text(encoding="utf-8"))
    kinds = {name: _kind(annotation, module[name]) for name, annotation in _assigned(block).items()}
    if "--help" in arguments or "-h" in arguments:
        print(_help(module["__doc__"], block, Path(module["__file__"]).name))
        sys.exit(0)
    for name, text in _pairs(arguments, list(kinds)):
        module[name] = _convert(name, text, kinds[name])
    for name in kinds:
        if not _fits(module[name], kinds[name]):
            legal = _kind_words(kinds[name])
            raise UserError(f"{name} = {module[name]!r} in the settings: should be {legal}")
        if name.endswith(("_DIR", "_FILE")) and module[name] is not None:
            module[name] = PROJECT_DIR / Path(module[name]).expanduser()


def shown(path: Path) -> str:
    """A path as a message shows it: relative to the project's folder where it lies inside."""
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
            raise UserError(f"unknown option {option}{hint}. Legal: {' '.join(legal)} --help")
        if not equals:
            if not rest:
                raise UserError(f"{option} needs a value: `{option} <value>`")
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
        raise UserError(f"{option} {text}: should be {_kind_words(kind)}") from error


def _fits(value, kind) -> bool:
    """Whether a value in the block is of its kind, so that a slip of the editor is told apart from a bug."""
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


def _help(doc: str, block: str, script: str) -> str:
    """The script's docstring, then its settings block as it stands."""
    return (
        f"{doc.strip()}\n\nSettings (edit them at the top of {script}, or give one for this run alone:\n"
        "`--num-images 500` sets NUM_IMAGES; True or False for a boolean; commas between a list's items):\n\n"
        f"{block}"
    )

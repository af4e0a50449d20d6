"""Whatever is legal changes nothing about the merged labels; whatever is not is told, and never merged."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from common.labels import same_caption, sheet_reader, sheets, spellings, taxonomy
from tests.support import merge_folder as study

EXAMPLES = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OPTIONS = ("--bootstrap-rounds", 2)

labels = st.sampled_from(study.CATEGORIES[1:]) | st.tuples(
    st.just("Ambiguous"), st.sampled_from(["", *taxonomy.SUBTYPE_NAMES])
).map(lambda pair: pair if pair[1] else "Ambiguous")
one_rater = st.dictionaries(st.integers(0, study.N - 1), labels, min_size=1, max_size=12)
RATERS = ("A", "B", "C", "Dora")
ratings = st.dictionaries(st.sampled_from(RATERS), one_rater, min_size=1, max_size=4)


def merged(given: dict[str, list[dict]], write, *options) -> tuple[int, str, str, bytes | None]:
    """Merge what `write(folder, rater, rows)` makes of each rater's rows: output, and the clean bytes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        study.write_cache(root / "cache")
        first, *others = RATERS  # everybody was drawn, or their sheets would be nobody's
        of_others = {name: [study.N - 1 - at] for at, name in enumerate(others)}
        of_first = {first: list(range(study.N - len(others)))}
        study.write_samples(root / "failures", of_first | of_others)
        for rater, rows in given.items():
            write(root / "failures", rater, rows)
        before = {path: path.read_bytes() for path in (root / "failures").iterdir()}
        status, out, err = study.merge(root, *OPTIONS, *options)
        assert before == {path: path.read_bytes() for path in before}
        clean = root / "failures" / "annotations_clean.csv"
        return status, out, err, clean.read_bytes() if clean.exists() else None


def plainly(folder: Path, rater: str, rows: list[dict]) -> None:
    study.write_sheet(folder / f"assign_{rater}.csv", rows)


# ---- legal ------------------------------------------------------------------------------------------------


def spelt(label: str, table: dict[str, str], draw: random.Random) -> str:
    """Another spelling of a label, in other capitals, between other white space."""
    if not label:
        return draw.choice(["", " ", "\t", "\u00a0"])
    text = draw.choice([spelling for spelling, name in table.items() if name == label] + [label])
    text = draw.choice([text, text.upper(), text.title(), "-".join([text[:3], text[3:]])])
    return draw.choice(["", " ", "\u00a0"]) + text + draw.choice(["", " ", "\t", "\u200b"])


def as_written(column: str, draw: random.Random) -> str:
    """A column's name as people rewrite it."""
    name = draw.choice([column, *spellings.COLUMN_SPELLINGS[column]]) if draw.random() < 0.3 else column
    return draw.choice([name, name.upper(), name.replace("_", " ").title(), f" {name} "])


def mangled_csv(rows: list[dict], columns: list[str], draw: random.Random) -> bytes:
    """The rows as a CSV in some delimiter, encoding, order and with some further column."""
    rows = draw.sample(rows, len(rows)) + (draw.sample(rows, 1) if draw.random() < 0.3 else [])
    columns = draw.sample(columns, len(columns))
    if draw.random() < 0.3:
        columns = [column for column in columns if column not in ("pred_img_idx", "note")]
    further = draw.choice([[], ["done"], ["", ""]])
    lines = [{**row, "done": "yes"} for row in rows]
    text = study.csv_text(
        lines,
        [*columns, *further],
        draw.choice(",;\t|"),
        lineterminator=draw.choice(["\r\n", "\n"]),
        quoting=draw.choice([0, 1]),
    )
    header, _, body = text.partition("\n")
    for column in columns:
        header = header.replace(column, as_written(column, draw), 1) if column != "idx" else header
    text = draw.choice(["", "", "My sheet\n\n"]) + header + "\n" + body
    fitting = [encoding for encoding in ENCODINGS if can_hold(text, encoding)]
    return text.encode(draw.choice(fitting))


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "gb18030", "cp1252", "mac_roman")


def can_hold(text: str, encoding: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding).lstrip("\ufeff") == text
    except UnicodeError:
        return False


def mangle(seed: int):
    """A writer that puts a rater's rows into one or two files of some kind, legally mangled."""
    draw = random.Random(seed)

    def write(folder: Path, rater: str, rows: list[dict]) -> None:
        kind = draw.choice(["csv", "csv", "xlsx", "page", "twins", "two sheets"])
        for row in rows:
            row["category"] = spelt(row["category"], spellings.CATEGORY_TABLE, draw)
            row["ambiguous_subtype"] = spelt(row["ambiguous_subtype"], spellings.SUBTYPE_TABLE, draw)
        if kind in ("xlsx", "twins"):
            sheets.write_xlsx(folder / f"assign_{rater}.xlsx", draw.sample(rows, len(rows)), rater)
        if kind in ("csv", "twins"):
            content = mangled_csv(rows, sheets.COLUMNS, draw)
            name = draw.choice([f"assign_{rater}.csv", f"assign_{rater.lower()} (1).csv"])
            (folder / name).write_bytes(content)
        if kind == "page":
            exported = [row | {"revision": 5} for row in rows]
            study.write_sheet(folder / f"assign_page_{rater}.csv", exported)
            earlier = [row | {"category": "Object", "ambiguous_subtype": "", "revision": 4} for row in rows]
            study.write_sheet(folder / f"assign_page_{rater} (1).csv", earlier)
        if kind == "two sheets":
            half = draw.randrange(len(rows) + 1)
            (folder / f"assign_{rater}.csv").write_bytes(
                mangled_csv(rows[:half] or rows, sheets.COLUMNS, draw)
            )
            (folder / f"assign_overlap_{rater}.csv").write_bytes(
                mangled_csv(rows[half:] or rows, sheets.COLUMNS, draw)
            )

    return write


@EXAMPLES
@given(ratings, st.integers(0, 2**32))
def test_no_legal_mangling_changes_the_merged_labels(given_by, seed):
    expected = merged({rater: study.filled(given) for rater, given in given_by.items()}, plainly)
    got = merged({rater: study.filled(given) for rater, given in given_by.items()}, mangle(seed))
    assert expected[0] == got[0] == 0, got[2]
    assert got[3] == expected[3]


# ---- illegal ----------------------------------------------------------------------------------------------

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda text: not spellings.is_blank(text.strip())
)
number = st.integers(-5, 10**6)


@st.composite
def illegal_change(draw, row: dict) -> tuple[str, dict]:
    """What kind of slip, and the cells that it changes."""
    kind = draw(
        st.sampled_from(["category", "subtype", "misplaced", "idx", "caption", "gt", "contradiction"])
    )
    if kind == "category":
        return kind, {"category": draw(text.filter(lambda word: spellings.category(word) is None))}
    if kind == "subtype":
        return kind, {"ambiguous_subtype": draw(text.filter(lambda word: spellings.subtype(word) is None))}
    if kind == "misplaced":
        assume(row["category"] != "Ambiguous")
        return kind, {"ambiguous_subtype": draw(st.sampled_from(taxonomy.SUBTYPE_NAMES))}
    if kind == "idx":
        idx = draw(number | text.map(str))
        # Two captions of one image that are the same text are the same item by all that a sheet can say.
        whole = sheet_reader.whole_number(str(idx))
        assume(whole is None or whole >= study.N or study.CAPTIONS[whole] != study.CAPTIONS[row["idx"]])
        return kind, {"idx": idx}
    if kind == "caption":
        other = draw(text | st.sampled_from(study.CAPTIONS))
        assume(same_caption.compare(other, study.CAPTIONS[row["idx"]]) == "other")
        return kind, {"caption": other}
    if kind == "gt":
        return kind, {"gt_img_idx": draw(number.filter(lambda other: other != row["gt_img_idx"]))}
    return kind, {"category": draw(st.sampled_from([c for c in study.CATEGORIES if c != row["category"]]))}


@EXAMPLES
@given(ratings, st.data())
def test_any_single_illegal_change_is_told_and_never_merged(given_by, data):
    rows_of = {rater: study.filled(given) for rater, given in given_by.items()}
    rater = data.draw(st.sampled_from(sorted(rows_of)))
    place = data.draw(st.integers(0, len(rows_of[rater]) - 1))
    row = rows_of[rater][place]
    kind, cells = data.draw(illegal_change(row))

    good = {other: list(rows) for other, rows in rows_of.items()}
    bad = {other: list(rows) for other, rows in rows_of.items()}
    if kind in ("subtype", "misplaced"):
        good[rater][place] = row | {"ambiguous_subtype": ""}  # the category stays
    else:
        del good[rater][place]
    if kind == "contradiction":
        bad[rater].append(row | cells | {"ambiguous_subtype": ""})
    else:
        bad[rater][place] = row | cells
    told = f"assign_{rater}.csv row {place + 2}:"

    status, _, err, clean = merged(bad, plainly)
    assert (status, clean) == (1, None)
    assert told in err

    status, out, err, clean = merged(bad, plainly, "--strict", False)
    expected = (
        merged({other: rows for other, rows in good.items() if rows}, plainly) if any(good.values()) else None
    )
    if expected is None:
        assert (status, clean) == (1, None)
    else:
        assert (status, clean) == (0, expected[3])
        assert told in out


@EXAMPLES
@given(st.binary(max_size=400))
@example(b"idx,caption,category\n")
@example(b"\xff\xfei\0d\0x")
@example(b"PK\x03\x04")
def test_no_file_crashes_the_reader(content):
    """Whatever bytes there are, the reader reads them or says in words why not."""
    from common.errors import UserError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "assign_A.csv"
        path.write_bytes(content)
        try:
            sheet_reader.read(path, dict(enumerate(study.CAPTIONS)))
        except UserError as error:
            assert len(str(error)) > 20


@pytest.mark.parametrize("count", range(2))
def test_cells_of_any_kind_survive_the_writers_and_the_reader(count, tmp_path):
    """Notes as people type them come back from CSV and workbook as they were."""
    notes = ["=1+1", "'=x", "'", "-", "@me", "a\nb", 'say "no"', "半", "😀", "x;y,z\tw", "NA", "0042"]
    rows = [study.item(idx) | {"note": note} for idx, note in enumerate(notes)]
    if count:
        sheets.write_xlsx(tmp_path / "a", rows, "A")
    else:
        study.write_sheet(tmp_path / "a", rows)
    read = sheet_reader.read(tmp_path / "a", dict(enumerate(study.CAPTIONS)))
    assert [row.cells["note"] for row in read.rows] == notes

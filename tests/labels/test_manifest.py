"""manifest.json: its declaration is what step 2 writes and what its README lists."""

import json
import re

import pytest

from common import records
from common.errors import UserError
from common.labels import drawing, manifest
from common.labels.manifest import Design, Manifest
from tests.support import PROJECT

README = (PROJECT / "failure_analysis" / "README.md").read_text(encoding="utf-8")


def made() -> Manifest:
    design = Design(
        SAMPLE_SIZE=2,
        OVERLAP_SIZE=1,
        PER_ANNOTATOR=1,
        BACKUP_SIZE=0,
        ANNOTATORS=["A"],
        SEED=42,
        LANGUAGE="en",
    )
    return Manifest(
        fingerprint="0" * 16,
        meta_file="cache/meta.json",
        settings=design,
        captions=9,
        images=3,
        failures=4,
        drawn={"overlap": 1, "A": 1},
        versions={"python": "3.11"},
        complete=False,
        files=[],
    )


def test_it_comes_back_as_it_was_written(tmp_path):
    assert manifest.read_or_none(tmp_path) is None
    manifest.write(tmp_path, made())
    assert manifest.read_or_none(tmp_path) == made()
    keys = list(json.loads((tmp_path / manifest.NAME).read_bytes()))
    assert keys == records.names(Manifest) == records.names(Manifest, required=True)


@pytest.mark.parametrize("content", ["{}", '{"failures": "many"}', "[]", "{"])
def test_another_file_of_its_name_is_one_line(tmp_path, content):
    (tmp_path / manifest.NAME).write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json") as raised:
        manifest.read_or_none(tmp_path)
    assert "\n" not in str(raised.value)


def listed(title: str) -> list[str]:
    """The names in the first column of the table under a heading of the folder's README."""
    section = README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)`", section, re.M)


def test_the_readme_lists_what_is_declared():
    assert listed("`manifest.json`") == records.names(Manifest)
    assert listed("`failure_samples.csv`") == list(drawing.Failure._fields)

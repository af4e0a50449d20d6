"""What step 4 writes, as its folder's README lists it: every file, and every column that is declared."""

from common import records
from common.labels import assisted, merged, positives, sensitivity
from common.labels.agreement import Estimate
from common.labels.shares import Share
from tests.support import PROJECT
from tests.support.merge_folder import Folder

README = (PROJECT / "failure_analysis" / "README.md").read_text(encoding="utf-8")


def listed(title: str) -> list[str]:
    """The names in the first column of the table under a heading."""
    section = README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| `")]
    return [row.strip("`") for row in rows]


def test_columns_and_keys():
    assert listed("`annotations_clean.csv`") == list(merged.Labeled._fields)
    assert listed("`annotations_raw.csv`") == list(merged.Raw._fields)
    assert listed("Shares") == list(Share._fields)
    assert listed("`agreement.json`") == records.names(merged.Report)
    assert listed("`sensitivity.csv`") == list(sensitivity.Row._fields)
    assert listed("`assisted_shares.csv`") == list(assisted.Row._fields)
    assert listed("`verified_positives.csv` and `single_votes.csv`") == list(positives.Pair._fields)
    assert listed("`agreement.csv`") == records.names(Estimate)


def test_every_file_that_a_merge_writes(tmp_path):
    folder = Folder(tmp_path).disputed()
    before = folder.snapshot()
    folder.merged()
    assert sorted(listed("What step 4 writes")) == sorted(folder.snapshot().keys() - before.keys())

"""The draw of failures to label: it depends on each caption alone, and is dealt from the front."""

import csv
import hashlib
import io
import re

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.labels import drawing
from common.labels.drawing import Failure
from common.labels.manifest import Design
from common.retrieval import ranking


def design(overlap: int, each: int, backup: int, annotators: str) -> Design:
    total = overlap + each * len(annotators)
    return Design(
        SAMPLE_SIZE=total,
        OVERLAP_SIZE=overlap,
        PER_ANNOTATOR=each,
        BACKUP_SIZE=backup,
        ANNOTATORS=list(annotators),
        SEED=42,
        LANGUAGE="en",
    )


def test_the_draw_depends_on_each_caption_alone():
    caption_ids = list(range(500, 900))
    failures = np.arange(0, 400, 2)
    order = drawing.draw(failures, caption_ids, 42)
    assert sorted(order) == failures.tolist()
    assert drawing.draw(failures[::-1], caption_ids, 42) == order
    without = drawing.draw(np.delete(failures, [3, 77]), caption_ids, 42)
    gone = set(failures[[3, 77]].tolist())
    assert without == [idx for idx in order if idx not in gone]
    assert drawing.draw(failures, caption_ids, 43) != order


def test_the_draw_is_the_one_that_is_documented():
    """By hand: sha256 of "42:7", "42:8", "42:9" begin 75, 7f, 79."""
    digests = {n: hashlib.sha256(f"42:{n}".encode()).hexdigest() for n in (7, 8, 9)}
    assert [digests[n][:2] for n in (7, 8, 9)] == ["75", "7f", "79"]
    assert drawing.draw(np.array([0, 1, 2]), [7, 8, 9], 42) == [0, 2, 1]


def test_failures_are_dealt_from_the_front():
    parts = drawing.deal(list(range(100)), design(3, 2, 4, "AB"))
    assert parts == {"overlap": [0, 1, 2], "A": [3, 4], "B": [5, 6], "backup": [7, 8, 9, 10]}
    assert drawing.deal(list(range(9)), design(0, 2, 0, "A")) == {"A": [0, 1]}


@pytest.mark.parametrize(
    ("n", "sizes", "fitting"),
    [
        (11, (4, 2, 4, "AB"), (3, 1, 3)),
        (100, (50, 50, 40, "ABC"), (20, 20, 16)),
        (3, (50, 50, 40, "ABC"), (3, 0, 0)),
        (1, (0, 50, 40, "ABC"), (1, 0, 0)),
        (30, (0, 20, 0, "AB"), (0, 15, 0)),
    ],
)
def test_too_few_failures_come_with_sizes_that_fit(n, sizes, fitting):
    """The proposed options add up as step 2 wants them to, and draw no more than there are."""
    asked = design(*sizes)
    total = asked.SAMPLE_SIZE + asked.BACKUP_SIZE
    with pytest.raises(
        UserError, match=rf"= {total} failures are to be drawn, but there are {n}\."
    ) as raised:
        drawing.deal(list(range(n)), asked)
    options = dict(re.findall(r"--([a-z-]+) (\d+)", str(raised.value)))
    overlap, each, backup = (int(options[key]) for key in ("overlap-size", "per-annotator", "backup-size"))
    assert (overlap, each, backup) == fitting
    fits = design(overlap, each, backup, sizes[3])
    assert int(options["sample-size"]) == fits.SAMPLE_SIZE >= 1
    assert sum(map(len, drawing.deal(list(range(n)), fits).values())) <= n


@pytest.mark.parametrize("backup", [0, 40])
def test_without_a_failure_there_is_nothing_to_explain(backup):
    """Smaller sizes can't help, so none are proposed."""
    with pytest.raises(UserError, match="R@1 is 100%.* no failure to label.*NUM_IMAGES") as raised:
        drawing.deal([], design(50, 50, backup, "ABC"))
    assert "--" not in str(raised.value) and "lower" not in str(raised.value)


@pytest.mark.parametrize("noise", [1e-7, 1e-2])
def test_last_bits_move_one_row_a_flipped_failure(noise):
    """Scores disturbed as another machine would: compare the draw with the one from the undisturbed."""
    torch.manual_seed(3)
    img = torch.nn.functional.normalize(torch.randn(300, 24), dim=1)
    gt = np.repeat(np.arange(300), 5)
    txt = torch.nn.functional.normalize(img[gt] + 1.1 * torch.randn(1500, 24), dim=1)
    caption_ids = list(range(10_000, 11_500))

    def drawn(texts):
        failures = np.flatnonzero(ranking.rank(texts, img, gt).rank > 1)
        order = drawing.draw(failures, caption_ids, 42)
        return set(failures.tolist()), drawing.deal(order, design(50, 50, 40, "ABC"))

    failures, parts = drawn(txt)
    disturbed = torch.nn.functional.normalize(txt + noise * torch.randn_like(txt), dim=1)
    failures_2, parts_2 = drawn(disturbed)
    flipped = len(failures ^ failures_2)
    assert noise < 1e-2 or flipped > 3, "the disturbance flips nothing, so the test shows nothing"
    everything, everything_2 = (set().union(*each.values()) for each in (parts, parts_2))
    assert len(everything - everything_2) <= flipped
    for part in parts:
        # A flip moves one row in and one out at each boundary behind it, and comes or goes itself.
        assert len(set(parts[part]) - set(parts_2[part])) <= flipped


def test_samples_have_the_columns_of_a_failure(tmp_path):
    """Scores with six decimals, and a caption that a spreadsheet would run as text."""
    row = Failure(
        1, "A", 7, 70, "=a", 2, 20, "2.jpg", 3, 30, "3.jpg", 2, -0.25, 0.5, 0.75, False, True, 1 / 3
    )
    drawing.write_samples(tmp_path / drawing.SAMPLES, [row])
    text = (tmp_path / drawing.SAMPLES).read_text(encoding="utf-8-sig")
    (found,) = csv.DictReader(io.StringIO(text))
    assert list(found) == list(Failure._fields)
    assert found["caption"] == "'=a" and found["provably_ambiguous"] == "True"
    assert [found[name] for name in ("gt_score", "margin", "gt_pred_cosine")] == [
        "-0.250000",
        "0.750000",
        "0.333333",
    ]

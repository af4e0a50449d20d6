"""Drawn failures that no label counts for, and how far they could move a share.

People skip what is hard, so missing labels are not missing at random. What is certain of a share are its
worst-case bounds (Manski 1989, J. Hum. Resour. 24, p. 343): all or none of the missing ones have the label.
"""

from typing import NamedTuple

from common import say
from common.labels import adjudication, sheet_reader
from common.labels.decisions import Item
from common.labels.handed_in import HandIn
from common.labels.sheets import BACKUP


class Gaps(NamedTuple):
    """How many of the drawn failures have no label, and why."""

    drawn: int  # failures that were drawn for labeling, backups aside
    missing: int  # of them with no label that counts: blank, skipped, never handed in, or left out
    left_out: int  # of the missing ones with a row that STRICT = False left out
    waiting: int  # with labels but no majority, until a person decides
    backups: int  # backup items that have a label

    @property
    def open(self) -> int:
        """Failures whose label nobody knows."""
        return self.missing + self.waiting

    @property
    def status(self) -> str:
        """`final`, or `provisional: 35 of 200 without a label, 3 wait in adjudicate.csv`."""
        lacks = [f"{say.number(self.missing)} of {say.number(self.drawn)} without a label"]
        lacks = lacks if self.missing else []
        if self.missing and self.missing <= self.backups and not self.waiting:
            return f"final: {lacks[0]}, backups labeled in their place"
        if self.waiting:
            verb = "waits" if self.waiting == 1 else "wait"
            lacks.append(f"{say.number(self.waiting)} {verb} in {adjudication.NAME}")
        return f"provisional: {', '.join(lacks)}" if lacks else "final"

    @property
    def caution(self) -> str:
        """What lacks a label, as a sentence's beginning; "" where every drawn failure has one."""
        said = []
        if self.missing:
            verb = "has" if self.missing == 1 else "have"
            left_out = f" ({say.number(self.left_out)} left out, see problems.csv)" if self.left_out else ""
            of = f"{say.number(self.missing)} of {say.number(self.drawn)} drawn failures"
            said.append(f"{of} {verb} no label{left_out}")
        if self.waiting:
            verb = "waits" if self.waiting == 1 else "wait"
            said.append(f"{say.number(self.waiting)} {verb} in {adjudication.NAME}")
        return " and ".join(said)

    def bounds(self, n: int, total: int) -> tuple[float | None, float | None]:
        """Least and most that the share n / total can be, whatever the open labels are; None of nothing."""
        every = total + self.open
        return (n / every, (n + self.open) / every) if every else (None, None)


NONE = Gaps(0, 0, 0, 0, 0)


def of(given: HandIn, items: list[Item], waiting: list[int]) -> Gaps:
    """What the drawn failures lack, once labels are merged."""
    parts = given.folder.parts
    drawn = {idx for idx, part in parts.items() if part not in (BACKUP, "")}
    if not drawn:
        # Without failure_samples.csv the sheets are all that says what was drawn.
        drawn = {
            sheet_reader.whole_number(row.cells["idx"])
            for sheet in given.sheets
            if sheet.kind != BACKUP
            for row in sheet.rows
        } & given.folder.known.captions.keys()
    labeled = {item.idx for item in items}
    missing = drawn - labeled - set(waiting)
    struck = {rating.idx for rating in given.ratings if rating.choice is None}
    backups = sum(parts.get(idx) == BACKUP for idx in labeled)
    return Gaps(len(drawn), len(missing), len(missing & struck), len(waiting), backups)

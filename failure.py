"""Step 2 of 6: draw failures@1 and put them into annotators' hands, as sheets, pictures and pages.

Run:    python failure.py
Reads:  cache/ (what step 1 froze: rows and their ranks) and the photographs that it was made from
Writes: failure_analysis/: failure_samples.csv, assign_*.csv and .xlsx, vis_*/ (pictures), annotate_*.html
        (a page for each annotator), manifest.json; with EXPORT_TASK label_task.jsonl alone, with PLAN nothing
Takes:  half a minute on a laptop
"""

import re
from pathlib import Path

import numpy as np

from common import records, say
from common.annotation import folder, material, page
from common.commands import command
from common.errors import SettingError, UserError, reported
from common.labels import drawing, label_task, manifest, model_labels, plan, sheets
from common.labels.drawing import Failure
from common.labels.manifest import Design
from common.labels.taxonomy import LANGUAGES
from common.retrieval import coco, frozen_ranks, meta
from common.retrieval.meta import Meta
from common.retrieval.ranks import Ranks
from common.settings import Settings, at_least, one_of, override, shown

# ---- settings ----------------------------------------------------------------------------------------------
SAMPLE_SIZE: int = 200  # failures to label: OVERLAP_SIZE + PER_ANNOTATOR x the number of ANNOTATORS
OVERLAP_SIZE: int = 50  # of them labeled by every annotator, which measures agreement
PER_ANNOTATOR: int = 50  # of them labeled by one annotator each
BACKUP_SIZE: int = 40  # further failures, to replace damaged items
REPEAT: int = 0  # of each annotator's own items, shown a second time late on the page; 0: none
ANNOTATORS: list[str] = ["A", "B", "C"]  # short names of letters and digits
SEED: int | None = None  # of the draw; None means the cache's
LANGUAGE: str = "en"  # of pages and pictures: en, zh
PLAN: bool = False  # True: say what such a study will show, draw nothing, write nothing
EXPORT_TASK: bool = False  # True: write all failures for a model to label, draw nothing, leave sheets alone
STUDY_DIR: str | None = None  # folder of one study, with the two below in it; None: the project's own
CACHE_DIR: str = "cache"  # frozen embeddings; a meta file in it chooses among several
FAILURE_DIR: str = "failure_analysis"  # everything that this step writes
IMAGE_DIR: str | None = None  # photographs; None means where step 1 found them
# ------------------------------------------------------------------------------------------------------------

NAME = re.compile("[A-Za-z0-9]{1,20}")
NO_NAMES = (sheets.BACKUP, sheets.OVERLAP, "page")  # they mean something else in the names of sheets
GUIDES = {"en": "annotation_guide.md", "zh": "annotation_guide_cn.md"}


def check_settings(settings: Settings) -> None:
    """Sizes that add up, names that a file can carry."""
    overlap, each = settings.OVERLAP_SIZE, settings.PER_ANNOTATOR
    at_least(1, SAMPLE_SIZE=settings.SAMPLE_SIZE)
    at_least(0, OVERLAP_SIZE=overlap, PER_ANNOTATOR=each, BACKUP_SIZE=settings.BACKUP_SIZE)
    # Half of one's own at most: between the two showings of an item others have to come.
    if not 0 <= settings.REPEAT <= each // 2:
        raise SettingError(f"REPEAT = {settings.REPEAT}: should be 0 to {each // 2}, half of PER_ANNOTATOR")
    one_of(LANGUAGES, LANGUAGE=settings.LANGUAGE)
    names = settings.ANNOTATORS
    # Windows and macOS take a and A for one file.
    different = {name.lower() for name in names} - set(NO_NAMES)
    if not names or len(different) < len(names) or not all(map(NAME.fullmatch, names)):
        raise SettingError(
            f"ANNOTATORS = {','.join(names)}: should be different short names of letters and digits, "
            f"none of them {', '.join(NO_NAMES)}"
        )
    total = overlap + each * len(names)
    if total != settings.SAMPLE_SIZE:
        raise SettingError(
            f"SAMPLE_SIZE = {settings.SAMPLE_SIZE}, but OVERLAP_SIZE + PER_ANNOTATOR x annotators = "
            f"{overlap} + {each} x {len(names)} = {total}: make the two equal"
        )
    page.photo_bytes(overlap + each)  # raises where a page would grow too large


def known(value: np.floating) -> float | None:
    """A score of `Ranks` as a number; None where a run does not tell it."""
    return None if np.isnan(value) else float(value)


def describe(parts: dict[str, list[int]], found: Ranks, content: Meta) -> list[Failure]:
    """Everything known of each drawn failure, in the order of the draw. `parts`: part -> its idx."""
    ambiguous = coco.provably_ambiguous(content.captions, content.gt_img_index)
    failures: list[Failure] = []
    for part, idx in ((part, idx) for part, drawn in parts.items() for idx in drawn):
        gt, pred = content.gt_img_index[idx], int(found.best_other[idx])
        gt_score, pred_score = known(found.positive_score[idx]), float(found.best_other_score[idx])
        failures.append(
            Failure(
                order=len(failures) + 1,
                part=part,
                idx=idx,
                caption_id=content.caption_ids[idx],
                caption=content.captions[idx],
                gt_img_idx=gt,
                gt_img_id=content.sampled_img_ids[gt],
                gt_file_name=content.file_names[gt],
                pred_img_idx=pred,
                pred_img_id=content.sampled_img_ids[pred],
                pred_file_name=content.file_names[pred],
                gt_rank=int(found.rank[idx]),
                gt_score=gt_score,
                pred_score=pred_score,
                margin=None if gt_score is None else pred_score - gt_score,
                tied=bool(found.tied[idx]),
                provably_ambiguous=bool(ambiguous[idx]),
                gt_pred_cosine=known(found.own_other_cosine[idx]),
            )
        )
    return failures


def export_task(target: Path, meta_file: Path, content: Meta, photographs: Path) -> None:
    """Write what a vision-language model needs to label every failure, in the order of the folder's draw.

    Raises UserError where nothing was drawn from this cache: a model's labels count next to people's alone.
    """
    made = manifest.read_or_none(target)
    if made is None or made.fingerprint != content.fingerprint:
        raise UserError(
            f"{shown(target)}/ holds no failures that were drawn from {shown(meta_file)}: run "
            "`python failure.py` first, or name the draw's folder with `--failure-dir <folder>`"
        )
    found = frozen_ranks.of(meta_file, content)
    order = drawing.draw(np.flatnonzero(found.rank > 1), content.caption_ids, made.settings.SEED)
    every = describe({"all": order}, found, content)
    label_task.write(target / label_task.NAME, every, photographs, content.fingerprint)
    n, drawn = say.items(len(every), "failure"), sum(made.drawn.values())
    print(f"Wrote {shown(target / label_task.NAME)}: the prompt, then {n} in the order of the draw")
    print(f"Next: let a model label all, or more than the first {say.number(drawn)}; put its answers")
    print(f"      ({model_labels.NAME}, {model_labels.NOTE}) into {shown(target)}/, then")
    print(f"      {command('merge_assignments.py')}")


def say_draw(meta_file: Path, content: Meta, n_failures: int, drawn: list[Failure], design: Design) -> None:
    """What was read, the headline number, and what was drawn."""
    images, n = say.items(len(content.file_names), "image"), len(content.captions)
    print(f"Read {shown(meta_file)}: {images}, {say.items(n, 'caption')}")
    if content.bundled_sample:
        print("  the bundled sample: rendered scenes and a tiny CLIP, for trying every step")
    print(f"failures@1 = {say.number(n_failures)} of {say.number(n)} captions ({say.share(n_failures / n)})")
    # Which sheet goes to whom, in the words of the person who hands them out.
    for_each = "each for " if len(design.ANNOTATORS) > 1 else "for "
    dealt = (
        (design.OVERLAP_SIZE, "for everyone"),
        (design.PER_ANNOTATOR, for_each + ", ".join(design.ANNOTATORS)),
        (design.BACKUP_SIZE, "backup" if design.BACKUP_SIZE == 1 else "backups"),
    )
    parts = ", ".join(f"{say.number(size)} {words}" for size, words in dealt if size)
    ambiguous = sum(failure.provably_ambiguous for failure in drawn)
    print(f"Sampled {say.items(len(drawn), 'failure')}: {parts}")
    print(f"  with a caption that another image also has: {say.number(ambiguous)}")


def say_written(where: str, design: Design) -> None:
    """What was written, and what people do with it."""
    names, guide = design.ANNOTATORS, GUIDES[design.LANGUAGE]
    letters = "{" + ",".join(names) + "}" if len(names) > 1 else names[0]
    print(f"Wrote {where}/failure_samples.csv and manifest.json")
    print(f"Wrote {where}/assign_*.csv and the same as .xlsx, with pictures in {where}/vis_*/")
    print(f"Wrote {where}/annotate_{letters}.html")
    print(f"Next: give each annotator {guide} and either the page or the sheets with their pictures.")
    print(f"      Put what comes back (assign_page_*.csv, assign_*) into {where}/, then")
    print(f"      {command('merge_assignments.py')}")


def say_plan(n_failures: int, design: Design, target: Path) -> None:
    """What the labels will show once they are there, and what work they take."""
    drawing.check_sizes(n_failures, design)
    print(*plan.sentences(plan.of(design, n_failures, plan.read_pace(target))), sep="\n")


@reported
def main() -> None:
    settings = override(globals())
    check_settings(settings)
    meta_file = meta.find(settings.CACHE_DIR)
    content = meta.read(meta_file)
    seed = content.seed if settings.SEED is None else settings.SEED
    used = settings.but(SEED=seed).values()
    design = Design(**{name: used[name] for name in records.names(Design)})
    target = meta.own_folder(settings.FAILURE_DIR, content)
    if settings.PLAN:
        say_plan(int((frozen_ranks.of(meta_file, content).rank > 1).sum()), design, target)
        return print(f"Next: {command('failure.py')}")
    # What would stop the run at its end is looked at first: other photographs, and work that people did.
    photographs = material.find_photographs(settings.IMAGE_DIR, content)
    if settings.EXPORT_TASK:
        return export_task(target, meta_file, content, photographs)
    folder.refuse_filled(target, content.captions)

    # Every caption whose own image does not come first, in an order that only the seed and each caption's own
    # id decide: a borderline failure more or less, on another machine, leaves the rest of the sample alone.
    found = frozen_ranks.of(meta_file, content)
    failures = np.flatnonzero(found.rank > 1)
    parts = drawing.deal(drawing.draw(failures, content.caption_ids, seed), design)
    drawn = describe(parts, found, content)
    say_draw(meta_file, content, len(failures), drawn, design)

    # All is rendered before anything is written: a photograph that can't be read leaves no half folder.
    rendered = material.picture_each(drawn, photographs, design.LANGUAGE)
    rendered |= material.pages(drawn, photographs, design, content.fingerprint)
    made = folder.manifest_of(meta_file, content, len(failures), parts, design)
    folder.write_all(target, drawn, rendered, made)
    say_plan(len(failures), design, target)
    say_written(shown(target), design)


if __name__ == "__main__":
    main()

"""What each drawn failure looks like to annotators: a side-by-side picture, and its place on their pages.

Everything is rendered in memory, before a file is written: a photograph that can't be read leaves no half
folder behind.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from common import sampling
from common.annotation import fonts, page, pictures
from common.errors import UserError, list_rows
from common.labels import sheets
from common.labels.drawing import Failure
from common.labels.manifest import Design
from common.retrieval import images
from common.retrieval.meta import Meta
from common.settings import PROJECT_DIR, shown

Key = TypeVar("Key")
Value = TypeVar("Value")


def find_photographs(image_dir: Path | None, meta: Meta) -> Path:
    """The folder of the photographs: the one given, or the one that step 1 encoded.

    Raises UserError where it was not found, and where it holds other photographs than were encoded,
    or some that are shown to people otherwise than the model saw them.
    """
    folder = Path(image_dir) if image_dir else PROJECT_DIR / meta.image_folder
    fix = "give the right folder with `--image-dir <folder>`"
    if not folder.is_dir():
        raise UserError(f"{shown(folder)}/, the folder of the cache's photographs, was not found: {fix}")
    encoded, here = meta.fingerprints.images, images.fingerprint(folder, meta.file_names)
    # A cache that was made elsewhere may name no fingerprint, and a folder that lacks a file has none.
    if encoded and here and encoded != here:
        raise UserError(
            f"{shown(folder)}/ holds other photographs than those that were encoded (their sizes differ), "
            f"so labels would be about the wrong ones: {fix}"
        )
    images.refuse_other_pixels(folder, meta)
    return folder


def picture_each(failures: list[Failure], photographs: Path, language: str) -> dict[str, bytes]:
    """A side-by-side picture of each failure: file name in the failure folder -> JPEG.

    Raises UserError where no font has a character, and where photographs can't be read (all are named).
    """
    titles = page.TEXTS[language]["gt_title"], page.TEXTS[language]["pred_title"]
    for failure in failures:
        fonts.check(failure.caption, f"the caption of idx {failure.idx}")
    fonts.check(" ".join(titles), "the titles under the pictures")

    def picture(failure: Failure) -> bytes:
        left, right = photographs / failure.gt_file_name, photographs / failure.pred_file_name
        return pictures.side_by_side(left, right, failure.caption, titles)

    keyed = {sheets.picture_path(failure.part, failure.idx): failure for failure in failures}
    return _render(keyed, picture, "pictures", photographs)


def pages(failures: list[Failure], photographs: Path, design: Design, cache_id: str) -> dict[str, bytes]:
    """A page for each annotator: file name in the failure folder -> HTML.

    cache_id: the cache's fingerprint. Labels that a browser kept for another cache never meet these items.
    """
    paged = [failure for failure in failures if failure.part != sheets.BACKUP]
    most = max(len(_on_page(annotator, paged)) for annotator in design.ANNOTATORS)
    limit = page.photo_bytes(most)
    # Each photograph once, however many items show it.
    names = {failure.gt_img_idx: failure.gt_file_name for failure in paged}
    names |= {failure.pred_img_idx: failure.pred_file_name for failure in paged}
    photos = _render(
        names, lambda name: pictures.for_page(photographs / name, limit), "photographs", photographs
    )
    found = {}
    for annotator in design.ANNOTATORS:
        items = with_repeats(_items(annotator, paged, design.SEED), design.REPEAT)
        needed = sorted({image for item in items for image in (item.gt, item.pred)})
        own = {image: photos[image] for image in needed}
        sample = sampling.digest(f"{cache_id} {[item.idx for item in items]}")[:16]
        found[f"annotate_{annotator}.html"] = page.html(annotator, items, own, sample, design.LANGUAGE)
    return found


def _on_page(annotator: str, failures: list[Failure]) -> list[Failure]:
    """The shared failures and the annotator's own."""
    return [failure for failure in failures if failure.part in (sheets.OVERLAP, annotator)]


def _items(annotator: str, failures: list[Failure], seed: int) -> list[page.Item]:
    """What an annotator's page shows, in an order that is theirs alone.

    Alone, so that tiredness doesn't fall on the same items for everybody.
    """
    mine = _on_page(annotator, failures)
    mine.sort(key=lambda failure: sampling.digest(f"{seed}:{annotator}:{failure.caption_id}"))
    return [
        page.Item(
            failure.idx,
            failure.caption,
            failure.gt_img_idx,
            failure.pred_img_idx,
            sheets.OVERLAP if failure.part == sheets.OVERLAP else page.OWN,
        )
        for failure in mine
    ]


def with_repeats(items: list[page.Item], n: int) -> list[page.Item]:
    """The first n of one's own items once more, spread evenly over the last third of what comes after them.

    With at most half of one's own repeated, another item always comes between the two showings.
    """
    chosen = [place for place, item in enumerate(items) if item.part == page.OWN][:n]
    if not chosen:
        return items
    start = max(chosen[-1] + 2, 2 * len(items) // 3)
    tail, found = items[start:], items[:start]
    for number, place in enumerate(chosen):
        rest = slice(number * len(tail) // n, (number + 1) * len(tail) // n)
        found += [*tail[rest], items[place]._replace(repeat=True)]
    return found


def _render(
    keyed: Mapping[Key, Value], render: Callable[[Value], bytes], label: str, photographs: Path
) -> dict[Key, bytes]:
    """Render each value; all photographs that can't be read are named in one error."""
    rendered, bad = {}, set()
    for key, value in tqdm(keyed.items(), desc=label, disable=None, leave=False):
        try:
            rendered[key] = render(value)
        except FileNotFoundError as error:
            bad.add(f"{Path(error.filename).name}: was not found")
        except (OSError, SyntaxError) as error:  # Pillow reports a broken PNG as a SyntaxError
            bad.add(f"{_named(value)}: {error}")
    if bad:
        raise UserError(
            f"{len(bad)} photographs in {shown(photographs)}/ can't be used, so nothing was written. Restore "
            f"them, then run the same command again:\n{list_rows(sorted(bad))}"
        )
    return rendered


def _named(value: Failure | str) -> str:
    """The photograph, or the two of a failure of which one is bad."""
    return value if isinstance(value, str) else f"{value.gt_file_name} or {value.pred_file_name}"

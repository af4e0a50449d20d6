"""Step 4b of 6: optional, what a controlled probe says fails next to what people say fails.

Run:    python probe.py                        after step 1; for labels after step 4
        python probe.py --download True        (fetches SugarCrepe's seven files first, once: 1.7 MB)
Reads:  cache/, and in PROBE_DIR captions of COCO with one thing changed (SugarCrepe), or the bundled sample's
        own; failure_analysis/ (merged labels and their shares, if there are any)
Writes: final_results/probe.json (accuracy by type of change; next to categories, captions, labeled failures)
        and probe_items.csv (each item); in cache/ the changed captions as the model encodes them
Takes:  the bundled sample: seconds. COCO: some minutes of encoding on a laptop; a run that was stopped
        continues where it was
"""

from pathlib import Path

from common import files, records, say
from common.commands import command
from common.errors import SettingError, list_rows, reported
from common.labels import merged, probe_levels
from common.labels.probe_levels import Answers, Labels
from common.probe_results import ITEM_COLUMNS, ITEMS, RESULT, Compared, Inputs, Odds, Result
from common.retrieval import cache, encoder, frozen_ranks, meta, probe_items
from common.retrieval.cache import Cache
from common.retrieval.probe_items import Joined, Probe, Scores
from common.retrieval.text_cache import TextCache
from common.settings import Settings, override, shown

# ---- settings ----------------------------------------------------------------------------------------------
PROBE_DIR: str = "data/sugarcrepe"  # folder of SugarCrepe's seven JSON files
DOWNLOAD: bool = False  # True: fetch those that are missing to PROBE_DIR, verified
DEVICE: str = "auto"  # for encoding texts: auto, cpu, cuda, cuda:1, mps
MODEL_DIR: str | None = None  # folder of the model; None means where step 1 found it
STUDY_DIR: str | None = None  # folder of one study, with the three below in it; None: the project's own
CACHE_DIR: str = "cache"  # frozen embeddings; a meta file in it chooses among several
FAILURE_DIR: str = "failure_analysis"  # annotations_clean.csv, category_distribution.csv
RESULT_DIR: str = "final_results"  # probe.json, probe_items.csv
# ------------------------------------------------------------------------------------------------------------


def check(settings: Settings) -> None:
    """Refuse what no run can do, before anything is read. Raises SettingError."""
    encoder.check_names(settings.DEVICE, "float32")
    named = settings.PROBE_DIR != probe_items.DEFAULT and not settings.DOWNLOAD
    if named and not settings.PROBE_DIR.is_dir():
        raise SettingError(f"PROBE_DIR = {settings.PROBE_DIR} was not found")


def fetch(folder: Path) -> None:
    """Get what is missing of SugarCrepe, and say what was written."""
    waiting = "Another run is fetching SugarCrepe; waiting for it ..."
    written = probe_items.fetch(folder, on_wait=lambda: print(waiting))
    if written:
        print(f"Wrote in {shown(folder)}/: {', '.join(path.name for path in written)}")


def item_rows(found: Answers, scores: Scores, labels: Labels) -> list[dict]:
    """The rows of probe_items.csv, in the order of the probe's files."""
    rows = []
    for at, item in enumerate(found.joined.items):
        idx = int(found.joined.idx[at])
        cells = (item.kind, item.key, idx, int(found.image[at]), item.file_name, item.caption, item.negative)
        cosines = (say.rounded(float(scores.own[at])), say.rounded(float(scores.negative[at])))
        answer = (str(found.outcome[at]), int(found.rank[at]), labels.category_of.get(idx, ""))
        rows.append(dict(zip(ITEM_COLUMNS, (*cells, *cosines, *answer), strict=True)))
    return rows


def measure(probe: Probe, found: Answers, frozen: Cache, labels: Labels, cut_off: int) -> Result:
    """Accuracies and the three levels, with all that they depend on."""
    accuracies = probe_levels.accuracies(found, probe.published)
    comparison, agrees = probe_levels.comparison(accuracies, found, frozen.meta)
    return Result(
        model=frozen.meta.model,
        items=len(probe.items),
        joined=len(found.joined.items),
        elsewhere=found.joined.elsewhere,
        without_caption=list(map(str, found.joined.without_caption)),
        cut_off=cut_off,
        accuracies=accuracies,
        odds=probe_levels.odds(found),
        categories=probe_levels.categories(found, frozen.meta.captions, labels),
        labeled=probe_levels.labeled(found, labels),
        comparison=comparison,
        agrees=agrees,
        inputs=Inputs(
            cache=frozen.meta.fingerprint,
            labels=merged.fingerprint(labels.category_of),
            files=probe.sha256,
            published=probe.published,
        ),
        versions=encoder.versions(),
    )


def write(folder: Path, rows: list[dict], result: Result) -> None:
    """The items, then the result, which holds their fingerprint: where it stands, both are whole."""
    files.write_csv(folder / ITEMS, list(ITEM_COLUMNS), rows)
    sha256 = files.file_fingerprint(folder / ITEMS)
    records.write(folder / RESULT, records.replace(result, items_file=sha256))


def say_read(probe: Probe, joined: Joined, frozen: Cache, labels: Labels) -> None:
    """What was read, and what was left out."""
    print(f"Read {shown(frozen.meta_file)}: {say.items(len(frozen.gt), 'caption')}")
    n, lost = say.items(len(probe.items), "item"), joined.without_caption
    print(f"Read {shown(probe.folder)}/: {n}, {len(joined.items):,} of them with a caption of the cache")
    if joined.elsewhere:
        print(f"  left out: {say.items(joined.elsewhere, 'item')} of other images")
    if lost:
        print(f"  left out: {say.items(len(lost), 'item')} whose caption is not in the cache:")
        print(list_rows(list(map(str, lost))))
    n_labels = len(labels.category_of)
    print(f"Read {say.items(n_labels, 'label')}" if n_labels else "No labels yet: A and C lack people's part")


def say_accuracies(result: Result) -> None:
    """Accuracy by type of change, ties, and whether it agrees with what was published."""
    print("\nThe caption scores higher than the changed one [95% interval over images]:")
    for row in result.accuracies:
        right = say.share(row.value, row.low, row.high)
        ties = f"; ties, counted as errors: {row.ties:,}" if row.ties else ""
        print(f"  {row.type:<12} {right} of {say.items(row.n, 'item')} ({row.words}){ties}")
    if result.cut_off:
        print(f"  {say.items(result.cut_off, 'text')} cut off at the end, where the model stops reading")
    print(f"  {result.comparison}")


def by_category(row: Compared) -> str:
    """A line of level A."""
    said = []
    if row.types:
        right = say.share(row.accuracy, row.accuracy_low, row.accuracy_high)
        said.append(f"{right} right of {row.n:,} (place {row.probe_place})")
    else:
        said.append("no items")
    if row.share is not None:
        said.append(f"{say.share(row.share)} of {row.of:,} labels")
    if row.mentioned is not None:
        said.append(f"in {say.share(row.mentioned)} of captions")
    if row.ratio is not None:
        place = f" (place {row.label_place})" if row.label_place else ""
        said.append(f"ratio {say.coefficient(row.ratio, row.ratio_low, row.ratio_high)}{place}")
    return f"{' and '.join(row.categories)}: {'; '.join(said)}"


def by_caption(row: Odds) -> str:
    """A line of level B."""
    counts = f"({row.both_fail}, {row.only_item_fails}, {row.only_retrieval_fails}, {row.both_right})"
    if row.odds_ratio is None:
        return f"{row.type:<12} not known, since a count is 0 {counts}"
    return f"{row.type:<12} {say.coefficient(row.odds_ratio, row.low, row.high)} {counts}"


def say_levels(result: Result) -> None:
    """What the probe and people say by category, by caption and by labeled failure."""
    print("\nA. By category: the probe; people's share of failures, over how many captions mention it")
    print("   (place 1: most errors, most failures per mention)")
    for row in result.categories:
        print(f"  {by_category(row)}")
    print("\nB. By caption: odds of failing at R@1 if its item fails, over the odds if it doesn't")
    print("   (items: fail in both, in the probe alone, in retrieval alone, in neither)")
    for row in result.odds:
        print(f"  {by_caption(row)}")
    if result.labeled:
        print("\nC. Labeled failures whose caption has an item: of so many items the model fails")
    for name in dict.fromkeys(row.category for row in result.labeled):
        own = [row for row in result.labeled if row.category == name]
        print(f"  {name}: {', '.join(f'{row.type} {row.failed} of {row.n}' for row in own)}")


@reported
def main() -> None:
    settings = override(globals())
    check(settings)
    if settings.DOWNLOAD:
        fetch(settings.PROBE_DIR)
    frozen = cache.load(meta.find(settings.CACHE_DIR))
    own, folder = frozen.meta.bundled_sample, probe_items.find(settings.PROBE_DIR, frozen.meta)
    probe = probe_items.read(folder, as_published=not own)
    joined = probe_items.join(probe, frozen.meta)
    labels = probe_levels.read_labels(
        meta.own_folder(settings.FAILURE_DIR, frozen.meta), frozen.meta.captions
    )
    rank = frozen_ranks.of(frozen.meta_file, frozen.meta).rank
    say_read(probe, joined, frozen, labels)

    texts = TextCache(frozen, settings.MODEL_DIR, settings.DEVICE)
    scores = probe_items.scores(joined, frozen, texts)
    found = probe_levels.answers(joined, scores, frozen.gt, rank)
    result = measure(probe, found, frozen, labels, texts.cut_off[probe_items.LABEL])
    results = meta.own_folder(settings.RESULT_DIR, frozen.meta)
    write(results, item_rows(found, scores, labels), result)
    say_accuracies(result)
    say_levels(result)
    print(f"\nWrote {shown(results / RESULT)} and {shown(results / ITEMS)}")
    print(f"Next: {command('summarize_result.py')}")


if __name__ == "__main__":
    main()

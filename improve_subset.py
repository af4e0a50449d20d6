"""Step 6 of 6: try training-free fixes, and measure what each fixes and what it breaks.

Run:    python improve_subset.py
Reads:  cache/, failure_analysis/annotations_clean.csv (labels; without them nothing is measured by category),
        and a bank of captions of other images, data/annotations/captions_train2017.json; caches of COMPARE
Writes: final_results/net_effects.json (a net effect for each method) and cells/ (each method on every set of
        queries, ranks of each query); in cache/ the texts it encoded
Takes:  the bundled sample: a minute or two, most of it encoding. COCO without a GPU: about half an hour of
        encoding, then minutes of ranking. A stopped run keeps encoded texts and methods that were written
"""

from pathlib import Path

from tqdm import tqdm

from common import say
from common.commands import command
from common.errors import SettingError, UserError, reported
from common.fixes import bank as banks
from common.fixes import cells, compared, prompts, recipes, rerank, results, table, tuning
from common.fixes import study as studies
from common.fixes.bank import Bank
from common.fixes.cells import Cell, Ranker
from common.fixes.recipes import Recipe
from common.fixes.study import Sets, Study
from common.labels import merged
from common.labels.taxonomy import CATEGORY_NAMES
from common.results import CELLS, INDEX, Index, MethodResult
from common.retrieval import cache, evaluation, meta
from common.retrieval.text_cache import TextCache
from common.settings import Settings, at_least, one_of, override, shown

# METHODS is full of names, which are explained in one place; `--help` prints them.
__doc__ += "\nMethods, parts joined by +:\n" + "\n".join(f"    {line}" for line in recipes.explained())

# ---- settings ----------------------------------------------------------------------------------------------
METHODS: list[str] = [  # what to try: one part, or one of each kind joined by +
    *("prompts", "category"),  # templates, general or of the query's category
    *("nnn", "dn", "is", "dis"),  # corrections of hubs; csls, centre, nnn_gallery can be added
    *("tfidf", "overlap", "words"),  # words for the first candidates
    *("prompts+nnn", "nnn+words", "prompts+nnn+words"),
]
CATEGORIES: list[str] = list(CATEGORY_NAMES)  # of failures to measure on; Ambiguous is always added
SUBSET_SIZE: int = 100  # failures of each category; where there are fewer, all are taken
CONTROL_SIZE: int = 1000  # of all failures, and of all successes, for methods that encode texts
POOLING: list[str] = ["mean", "max", "logsumexp"]  # of templates' cosines: mean, max, logsumexp
K_TEMPLATES: int = 10  # templates of prompts, and of each category: 1 to 10
TAU: float = 0.01  # of logsumexp, in cosines: towards 0 it is max, at 1 it is mean
BANK_SIZE: int = 20000  # captions of the bank
ALLOW_TRANSDUCTIVE: bool = False  # True: accept a bank that holds queries, and mark every result
TUNE: bool = False  # True: choose parameters of hubs and words on half of the images, report on the rest
SEED: int | None = None  # of every draw; None means the cache's
DEVICE: str = "auto"  # for encoding texts: auto, cpu, cuda, cuda:1, mps
BANK_FILE: str = "data/annotations/captions_train2017.json"  # captions JSON, or encoded captions (.npz)
OTHER_BANK_FILE: str | None = None  # in its place: of another numbering, so that only content is compared
MODEL_DIR: str | None = None  # folder of the model; None means where step 1 found it
COMPARE: list[str] = []  # meta_....json of other caches of the same captions: their models as methods
STUDY_DIR: str | None = None  # folder of one study, with the three below in it; None: the project's own
CACHE_DIR: str = "cache"  # frozen embeddings; a meta file in it chooses among several
FAILURE_DIR: str = "failure_analysis"  # annotations_clean.csv
RESULT_DIR: str = "final_results"  # everything that this step writes but encoded texts
# ------------------------------------------------------------------------------------------------------------


def check(settings: Settings) -> list[Recipe]:
    """The methods to try. Raises SettingError for what no run can do, naming what is legal."""
    one_of(CATEGORY_NAMES, CATEGORIES=settings.CATEGORIES)
    one_of(prompts.POOLINGS, POOLING=settings.POOLING)
    at_least(1, SUBSET_SIZE=settings.SUBSET_SIZE, CONTROL_SIZE=settings.CONTROL_SIZE)
    at_least(1, BANK_SIZE=settings.BANK_SIZE, K_TEMPLATES=settings.K_TEMPLATES)
    if settings.K_TEMPLATES > prompts.MOST:
        raise SettingError(f"K_TEMPLATES = {settings.K_TEMPLATES}: there are {prompts.MOST} of each set")
    if not settings.TAU > 0:
        raise SettingError(f"TAU = {settings.TAU}: should be above 0 (0.01 is CLIP's own)")
    if not settings.METHODS and not settings.COMPARE:
        names = ", ".join(part.name for part in recipes.PARTS)
        raise SettingError(f"METHODS is empty: name some of {names}, joined by + or alone")
    try:
        return list(dict.fromkeys(map(recipes.parse, settings.METHODS)))
    except ValueError as error:
        raise SettingError(f"METHODS: {error}") from error


def run_cells(todo: list[Cell], ranker: Ranker, run: results.Run, folder: Path) -> dict[Path, MethodResult]:
    """Path -> result of every cell: read where an earlier run finished it, else ranked, measured, written."""
    paths = {results.path_of(folder, cell, run): cell for cell in todo}
    found = {path: results.read_finished(path, run) for path in paths}
    waiting = {path: cell for path, cell in paths.items() if found[path] is None}
    if len(waiting) < len(paths):
        done = f"{len(paths) - len(waiting)} of {say.items(len(paths), 'method')}"
        print(f"{done} were finished by an earlier run of the same code and settings")
    ranker.encode(list(waiting.values()))
    for label, n in ranker.texts.cut_off.items():
        if n:
            print(f"  {label}: {say.items(n, 'text')} cut off at the end, where the model stops reading")
    ranked = zip(waiting.items(), ranker.rank(list(waiting.values())), strict=True)
    with tqdm(ranked, total=len(waiting), unit="method", disable=None, leave=False) as bar:
        for (path, cell), passes in bar:
            bar.set_description(cell.label)
            found[path] = results.write(path, cell, passes, ranker, run)
            if bar.disable:  # no terminal: a line for each, so that nobody waits for minutes without a word
                print(f"  measured {cell.label}", flush=True)
    return found


def say_study(study: Study) -> None:
    """What is measured on."""
    frozen, ranks = study.frozen, study.before.rank[study.queries]
    images, captions = say.items(len(frozen.img), "image"), say.items(len(frozen.gt), "caption")
    print(f"Read {shown(frozen.meta_file)}: {images}, {captions}")
    if len(study.tuning):
        half = say.items(len(study.tuning), "caption")
        print(f"  TUNE: parameters are tuned on half of the images ({half}).")
        print("  Results below are for the other half:")
    recall, failures = say.share(evaluation.recall(ranks, 1)), say.items(len(study.failures), "failure")
    print(f"  R@1 = {recall} over {say.items(len(ranks), 'caption')}: {failures}")


def say_parts(wanted: list[Recipe]) -> None:
    """What the names of methods mean, before the first of them is used."""
    if wanted:
        print("Methods, parts joined by +:")
    for line in recipes.explained(wanted):
        print(f"  {line}")


def say_labels(study: Study, subsets: Sets, size: int) -> None:
    """How many of the failures have a label, and which sets are smaller than `size`."""
    labeled = len(study.labeled)
    print(f"Labels: {say.number(labeled)} of these failures have one")
    if not study.labels:
        print("  none yet, so nothing is measured by category (the net effects need no labels)")
    if labeled < len(study.labels):
        where = "here, or in the tuning half" if len(study.tuning) else "of this cache"
        skipped = say.items(len(study.labels) - labeled, "label")
        print(f"  left out: {skipped} of captions that are no failures {where}")
    small = {name: len(idx) for name, idx in subsets.items() if name in CATEGORY_NAMES and len(idx) < size}
    if small:
        fewer = ", ".join(f"{name} {n}" for name, n in small.items())
        print(f"  fewer than SUBSET_SIZE = {size}, so all are taken: {fewer}")


def say_bank(bank: Bank) -> None:
    """Which bank methods learn from."""
    size, equal = len(bank.captions), say.number(bank.equal_texts)
    print(f"Bank: {say.number(size)} of {say.items(bank.available, 'caption')} of {bank.file}")
    apart = bank.ids_compared and not bank.transductive
    other = ", though by their ids they are of other images" if apart else ""
    print(f"  {equal} of them have the same text or embedding as a query{other}")
    if not bank.ids_compared:
        print("  their ids are of another numbering, so they were not compared with the queries'")
    fewer = [part.name for part in recipes.PARTS if part.learns_from > size]
    if fewer:
        print(f"  fewer than the k of {', '.join(fewer)}, so all of them are taken")
    if bank.transductive:
        print("  TRANSDUCTIVE: it holds queries or their images; every result that uses it is marked so")


def say_left_out(skipped: dict[str, str]) -> None:
    """Methods that can't be run here, in one line for each reason."""
    for reason in dict.fromkeys(skipped.values()):
        names = ", ".join(method for method, why in skipped.items() if why == reason)
        print(f"Left out: {names}: {reason}")


def say_result(index: Index, study: Study) -> None:
    """What methods do to the whole set, whether they differ, and what other models do."""
    n = say.items(len(study.queries), "caption")
    print(f"\nNet effect on R@1 of all {n}, in points [95% interval over images]:")
    print("\n".join([*table.lines(index), *table.of_compared(index, study.frozen.meta.model)]))


def say_written(folder: Path, index: Index, run: results.Run) -> None:
    """Where the results are, and what comes next."""
    n = say.items(len(index.cells), "method")
    print(f"\nWrote {shown(folder / INDEX)} and, for {n} (each pooling counts as one),")
    print(f"  results by set (.json) and ranks (.csv): {shown(folder / CELLS)}/*_{run.mark}.*")
    if index.kept:
        print(f"  kept from earlier runs of the same code and settings: {say.first_of(index.kept)}")
    others = [path.name for path in results.of_other_runs(folder, run)]
    if others:
        print(f"  not used: files of other runs, {say.first_of(others, 1)}")
    print(f"Next: {command('summarize_result.py')}")


@reported
def main() -> None:
    settings = override(globals())
    wanted = check(settings)
    frozen = cache.load(meta.find(settings.CACHE_DIR))
    others = compared.read(settings.COMPARE, frozen.meta)
    seed = frozen.meta.seed if settings.SEED is None else settings.SEED
    settings = settings.but(SEED=seed)
    labels = merged.read(meta.own_folder(settings.FAILURE_DIR, frozen.meta), frozen.meta.captions)
    study = studies.make_study(frozen, merged.categories(labels), settings.TUNE, seed)
    sizes = settings.SUBSET_SIZE, settings.CONTROL_SIZE
    subsets = studies.choose_subsets(study, settings.CATEGORIES, *sizes, seed)
    named, allowed = (settings.BANK_FILE, settings.OTHER_BANK_FILE), settings.ALLOW_TRANSDUCTIVE
    bank = banks.find(banks.Wish(*named, settings.BANK_SIZE, seed, allowed), frozen.meta)
    say_study(study)
    say_labels(study, subsets, settings.SUBSET_SIZE)
    say_parts(wanted)

    texts, no_bank = TextCache(frozen, settings.MODEL_DIR, settings.DEVICE), ""
    if any(recipe.needs_bank for recipe in wanted):  # else there is no need to encode it
        bank, no_bank = banks.encoded(bank, texts, allowed)
    if bank:
        say_bank(bank)
    skipped = cells.left_out(wanted, study, bank, no_bank, texts)
    say_left_out(skipped)
    chosen = [recipe for recipe in wanted if recipe.name not in skipped]
    if not chosen and not others:
        raise UserError("No method could be run, so nothing was written: see why above")
    maker = rerank.Maker(cells.material_of(study, bank), seed)
    parameters = tuning.choose_parameters(chosen, study, maker)
    ranker = Ranker(study, maker, texts, settings.K_TEMPLATES, settings.TAU, parameters)
    shared = subsets, study, settings.POOLING, bank
    todo = [cell for recipe in chosen for cell in cells.cells_of(recipe, *shared)]

    run = results.run_of(study, bank, parameters, settings)
    folder = meta.own_folder(settings.RESULT_DIR, frozen.meta)
    found = run_cells(todo, ranker, run, folder)
    index = results.write_index(folder, results.Found(found, skipped, others), study, run)
    say_result(index, study)
    say_written(folder, index, run)


if __name__ == "__main__":
    main()

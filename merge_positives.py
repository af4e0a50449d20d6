"""Step 4 of 6: pool the verified positives of several merged studies, and list where they contradict.

Run:    python merge_positives.py --studies one/failure_analysis,two/failure_analysis
Reads:  of each study's folder what step 4 wrote: annotations_raw.csv, and failure_samples.csv for the ids
Writes: POOLED_DIR: verified_positives.csv and .qrels (a majority of two people or more over all studies),
        single_votes.csv, contradictions.csv (pairs that one study found to fit and another not to)
Takes:  a second
"""

from pathlib import Path

from common import files, say
from common.errors import SettingError, reported
from common.labels import pooled_positives, positives
from common.settings import override, shown

# ---- settings ----------------------------------------------------------------------------------------------
STUDIES: list[str] = []  # folders of failures that step 4 merged, two or more
CACHE_DIR: str = "cache"  # the frozen order that they share; only its meta file is read, if there is one
POOLED_DIR: str = "failure_analysis/pooled"  # where the pooled files go
# ------------------------------------------------------------------------------------------------------------


def folders(studies: list[str]) -> list[Path]:
    """The studies' folders. Raises SettingError for fewer than two, and for one that was not found."""
    found = [Path(name).expanduser().resolve() for name in studies]
    missing = [name for name, path in zip(studies, found, strict=True) if not path.is_dir()]
    if missing:
        raise SettingError(f"STUDIES = {','.join(studies)}: {', '.join(missing)} was not found")
    if len(set(found)) < max(2, len(found)):
        raise SettingError(f"STUDIES = {','.join(studies)}: should be two or more different folders")
    return found


def say_pooled(found: pooled_positives.Pooled, where: Path) -> None:
    """How many pairs there are, and what to look at."""
    pairs = {(one.caption_id, one.image_id) for one in found.contradictions}
    verified, single = say.items(len(found.verified), "pair"), say.number(len(found.single))
    print(f"Verified by two people or more: {verified}; by one vote alone: {single}")
    if pairs:
        named = say.items(len(pairs), "pair")
        print(f"Left out: {named} on which studies contradict, in {pooled_positives.CONTRADICTIONS}")
    print(f"Wrote in {shown(where)}/: {', '.join([*pooled_positives.tables(found), positives.QRELS])}")


@reported
def main() -> None:
    settings = override(globals())
    paths = folders(settings.STUDIES)
    studies = [pooled_positives.read(path, settings.CACHE_DIR) for path in paths]
    for study in studies:
        print(f"Read {shown(study.folder)}/: {say.items(len(study.given), 'judged pair')}")
    found = pooled_positives.pool(studies)
    for name, table in pooled_positives.tables(found).items():
        files.write_csv(settings.POOLED_DIR / name, table.columns, table.rows)
    files.write_bytes(settings.POOLED_DIR / positives.QRELS, positives.qrels(found.verified))
    say_pooled(found, settings.POOLED_DIR)


if __name__ == "__main__":
    main()

"""Whether this version gives the results that an earlier commit gave: the whole chain, file by file.

Run:    COCO_DIR=... python -m benchmarks.same_results [--commit 068f5f8] [--old FOLDER] [--new FOLDER]
Prints: a table for each study: what is compared, how many files, how many hold the same bytes, how many of
        the others hold the same values, and which differ, with where
Takes:  ten minutes on 2 cores, 200 MB

Both versions run in copies of their own, with the same default folders, so that paths inside files are
equal. A folder that is given keeps its copy; a study that is finished there is not run again. Studies: the
bundled sample with simulated annotators; with COCO_DIR, 600 photographs with the embeddings of a real dual
encoder and labels made from idx; and the same with tuned parameters. `_comparing` says when values count as
the same.
"""

import argparse
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks import PROJECT, _comparing
from benchmarks._measuring import print_table

COMMIT = "068f5f8"
NO_TEXT = "nnn,dn,is,dis,tfidf,overlap,words,nnn+words"  # methods that need no model, only its embeddings
CATEGORIES = ("Ambiguous", "Attribute", "Action", "Count", "Context", "Spatial", "Object")
SUBTYPES = ("underspecified", "nearduplicate")
# Brings the real embeddings into the cache's form by each version's own code, and says what main.py asks for.
PREPARE = """
import hashlib, json, sys
from pathlib import Path
sys.path.insert(0, "")
if Path("tests/support").is_dir():
    from common.retrieval.images import fingerprint
    from tests.support import coco_600
else:
    from common.coco import images_fingerprint as fingerprint
    from tests import coco_600
folder = Path(sys.argv[1])
meta_file = coco_600.write_cache(folder, Path("cache"))
coco_600.write_bank(folder, Path("cache/bank.npz"))
content = json.loads(meta_file.read_text(encoding="utf-8"))
annotations = folder / "annotations" / "captions_val2017_600.json"
content |= {"model_source": "dual-encoder-600", "device": "cpu", "batch_size": 32, "padding": "none"}
content |= {"max_tokens": 77, "truncated_captions": 0, "annotation_file": str(annotations)}
content["fingerprints"] |= {
    "annotation_file": hashlib.sha256(annotations.read_bytes()).hexdigest(),
    "images": fingerprint(folder / "val2017", content["file_names"]),
}
text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
meta_file.write_text(text + "\\n", encoding="utf-8")
"""


class Study(NamedTuple):
    """A study, run in the same way by both versions."""

    name: str
    cache: str  # folders, seen from the copy; "" where an earlier study has compared them
    failures: str
    results: str
    steps: list[list[str]]  # what is run by Python, in order; FILL stands for labels made from idx
    last: str  # a file of the results that only the last step writes


FILL = ["fill"]


def studies(coco_dir: str | None) -> list[Study]:
    rates = ["--error-rates", "0.05,0.1,0.15"]
    sample = [["main.py"], ["failure.py"], ["data/sample/simulate_annotators.py", *rates]]
    sample += [["merge_assignments.py"], ["improve_subset.py"], ["summarize_result.py"]]
    folders = ("cache", "failure_analysis", "final_results")
    found = [Study("sample", *(f"{name}/sample" for name in folders), sample, "summary_net_effects.csv")]
    if not coco_dir:
        return found
    data = ["--image-dir", f"{coco_dir}/val2017", "--num-images", "600"]
    data += ["--annotation-file", f"{coco_dir}/annotations/captions_val2017_600.json"]
    improve = ["improve_subset.py", "--bank-file", "cache/bank.npz", "--methods"]
    photographs = [["-c", PREPARE, coco_dir], ["main.py", "--model-name", "dual-encoder-600", *data]]
    photographs += [["failure.py"], FILL, ["merge_assignments.py"], [*improve, NO_TEXT]]
    found.append(
        Study("photographs", *folders, [*photographs, ["summarize_result.py"]], "summary_net_effects.csv")
    )
    tuned = [*improve, "nnn,words,nnn+words", "--tune", "True", "--result-dir", "final_results/tuned"]
    found.append(Study("tuned", "", "", "final_results/tuned", [tuned], "net_effects.json"))
    return found


# ---- two versions ------------------------------------------------------------------------------------------


def copy_of(commit: str | None, folder: Path) -> Path:
    """The files of a commit, or without one those of the working tree."""
    if (folder / "main.py").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if commit:
        archive = subprocess.run(["git", "archive", commit], cwd=PROJECT, check=True, capture_output=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        return folder
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    return folder


def run(study: Study, root: Path) -> None:
    """Run a study in a version's copy, if it is not finished there."""
    if (root / study.results / study.last).is_file():
        return
    for step in study.steps:
        print(f"  {root.name}: {study.name}: {step[0] if step[0] != '-c' else 'cache'}", flush=True)
        if step is FILL:
            fill(root / study.failures)
            continue
        done = subprocess.run([sys.executable, *step], cwd=root, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}\n{step[0]} ended with status {done.returncode} in {root}")


def fill(folder: Path) -> None:
    """Label every annotator's sheet as its idx and the sheet's name say: mostly alike, in mixed spellings."""
    for path in sorted(folder.glob("assign_*.csv")):
        rater = path.stem.rpartition("_")[2]
        if rater in ("overlap", "backup"):
            continue
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
        place = {name: at for at, name in enumerate(rows[0])}
        for row in rows[1:]:
            common, own = (digest(text + row[place["idx"]]) for text in ("", rater))
            # One row in five is labeled as this annotator alone would.
            category = CATEGORIES[(own if own % 5 == 0 else common) % 7]
            row[place["category"]] = (category, category.lower(), f" {category} ")[own % 3]
            if category == "Ambiguous":
                row[place["ambiguous_subtype"]] = SUBTYPES[own % 2]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        path.write_bytes(text.getvalue().encode("utf-8-sig"))


def digest(text: str) -> int:
    return int(hashlib.sha256(text.encode("utf-8")).hexdigest()[:8], 16)


# ---- the table ---------------------------------------------------------------------------------------------


def show(study: Study, old: Path, new: Path) -> int:
    """Print a study's table; returns how many files differ in value."""
    found = _comparing.compare(study, old, new)
    head = ["what", "files", "same bytes", "same values", "differing"]
    rows = []
    for what, of_kind in found.items():
        differing = [each for each in of_kind if each.differences]
        same = sum(each.same_bytes for each in of_kind)
        rows.append(
            [what, *map(str, (len(of_kind), same, len(of_kind) - same - len(differing), len(differing)))]
        )
    print(f"\n{study.name}")
    print_table(head, rows)
    differing = [each for of_kind in found.values() for each in of_kind if each.differences]
    for each in differing:
        more = f" (and {len(each.differences) - 4} more)" if len(each.differences) > 4 else ""
        print(f"  {each.name}: {'; '.join(each.differences[:4])}{more}")
    return len(differing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commit", default=COMMIT, help="what to compare this version with")
    parser.add_argument("--old", type=Path, help="folder of that commit's copy")
    parser.add_argument("--new", type=Path, help="folder of this version's copy")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        old = copy_of(given.commit, (given.old or Path(scratch) / "old").resolve())
        new = copy_of(None, (given.new or Path(scratch) / "new").resolve())
        differing = 0
        for study in studies(os.environ.get("COCO_DIR")):
            run(study, old)
            run(study, new)
            differing += show(study, old, new)
    sys.exit(f"{differing} files differ in value" if differing else 0)


if __name__ == "__main__":
    main()

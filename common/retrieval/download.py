"""The two official COCO archives: what is missing of them is fetched, verified, and unpacked in whole files.

An archive is put next to the folder of images (`data/val2017.zip`), and as long as it is not complete it is
called `val2017.zip.part`. One that the user put there is used as it is. Nothing of the user's is overwritten
or deleted.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from common import files
from common.errors import UserError, list_rows
from common.retrieval import archives, coco, unpacking
from common.retrieval.archives import Archive
from common.settings import shown

CAPTIONS = coco.OFFICIAL
VAL_CAPTIONS = CAPTIONS[1]
# Plain http, as COCO publishes them. That is safe here: whoever changes a byte on the way changes the sha256.
IMAGES = Archive(
    "http://images.cocodataset.org/zips/val2017.zip",
    815_585_330,
    "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
)
ANNOTATIONS = Archive(
    "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
    252_907_541,
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
)


def fetch(
    image_dir: Path,
    annotation_dir: Path,
    images: Archive = IMAGES,
    annotations: Archive = ANNOTATIONS,
    on_wait: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Get the images and the captions of COCO 2017 that are missing; returns what was written.

    That is in order: each archive that was fetched, the caption files, `image_dir`. Where all is there the
    list is empty, and no archive and no network is needed. `on_wait` is called where another run is fetching.
    Raises UserError where the server, the disk, an archive or a file that is in the way prevents it; the next
    call continues behind the bytes that are here.
    """
    image_dir, annotation_dir = Path(image_dir), Path(annotation_dir)
    for folder in (image_dir, annotation_dir):
        if os.path.lexists(folder) and not folder.is_dir():
            raise UserError(f"{shown(folder)} is not a folder, but one is needed there: move it away")
    if not _missing_captions(annotation_dir) and not missing_images(image_dir, annotation_dir):
        return []
    try:
        with files.locked(image_dir.parent / ".lock_download", on_wait):
            return _fetch(image_dir, annotation_dir, images, annotations)
    except OSError as error:  # a full disk names no file, and `reported` would take that for a bug
        raise UserError(
            f"{shown(error.filename or image_dir.parent)}: {error.strerror or error}. Free some space or "
            "fix the folder's permissions, then run the same command again: it continues where it was"
        ) from error


def _fetch(image_dir: Path, annotation_dir: Path, images: Archive, annotations: Archive) -> list[Path]:
    """What `fetch` does once no other run is at it."""
    folder, written = image_dir.parent, []
    unpacking.remove_leftovers(image_dir, annotation_dir)
    captions = _missing_captions(annotation_dir)
    # For both at once, so that nobody waits for the first archive to read that the second has no room.
    # What is unpacked takes about as much as a photographs' archive, and less than the annotations'.
    needed = archives.left(annotations, folder) + annotations.size if captions else 0
    needed += 0 if image_dir.is_dir() else archives.left(images, folder) + images.size
    archives.check_space(folder, needed)
    if captions:
        written += archives.get(annotations, folder)
        unpacking.unpack(folder / annotations.name, "annotations", annotation_dir, captions)
        written += [annotation_dir / name for name in captions]
    # The captions file names every image: that is how a finished download is known without its archive.
    if missing_images(image_dir, annotation_dir):
        archives.check_space(folder, archives.left(images, folder))
        written += archives.get(images, folder)
        unpacking.unpack(folder / images.name, "val2017", image_dir)
        written.append(image_dir)
        missing = missing_images(image_dir, annotation_dir)
        if missing:
            raise UserError(
                f"{shown(annotation_dir / VAL_CAPTIONS)} names {len(missing)} images that {images.name} "
                "does not hold, so it is not the official file. Move it away and run the same command again, "
                f"or set DOWNLOAD = False:\n{list_rows(missing)}"
            )
    return written


def _missing_captions(annotation_dir: Path) -> list[str]:
    """Which caption files are missing. Raises UserError for one that is there and ends too early."""
    cut = []
    for name in CAPTIONS:
        with contextlib.suppress(FileNotFoundError), open(annotation_dir / name, "rb") as file:
            file.seek(-min(64, file.seek(0, os.SEEK_END)), os.SEEK_END)
            cut += [] if file.read().rstrip().endswith(b"}") else [name]
    if cut:
        raise UserError(
            f"{len(cut)} files in {shown(annotation_dir)} are cut off. Nothing of yours is overwritten: move "
            f"them away, then run the same command again:\n{list_rows(cut)}"
        )
    return [name for name in CAPTIONS if not (annotation_dir / name).is_file()]


def missing_images(image_dir: Path, annotation_dir: Path) -> list[str]:
    """Names of the captions file's images that the folder lacks, in the file's order."""
    there = unpacking.sizes(image_dir)
    images = coco.read_captions(annotation_dir / VAL_CAPTIONS).dataset["images"]
    return [image["file_name"] for image in images if image["file_name"] not in there]

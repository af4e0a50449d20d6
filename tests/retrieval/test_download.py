"""The download: interrupted in every way that server, disk and a killed process offer, and still right."""

import errno
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import UserError
from common.retrieval import archives, download
from tests.support import PROJECT

NAMES = [f"{number:012d}.jpg" for number in (139, 285, 632, 724, 776, 785)]


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`. Each request takes the next of `server.plan`, a dict of what goes wrong:

    status: an answer without a body; ranges: False ignores them; shift: moves the range; body: another file;
    length: False leaves Content-Length out; kind: Content-Type; stop: bytes after which it ends by
    `how` ("fin" closes, "rst" resets, "stall" says nothing more until the test is over).
    """

    def do_GET(self):
        server = self.server
        plan = server.plan.pop(0) if server.plan else server.always
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        asked = int(found[1]) if found else 0
        entry = SimpleNamespace(path=self.path, start=asked, sent=0)
        server.requests.append(entry)
        body = plan.get("body", server.files.get(self.path))
        start = asked if plan.get("ranges", True) else 0
        status = plan.get("status", 404 if body is None else 206 if start else 200)
        if status == 206 and start >= len(body):
            status = 416
        self.send_response(status)
        if status not in (200, 206):
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start += plan.get("shift", 0)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Type", plan.get("kind", "application/zip"))
        if plan.get("length", True):
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.send(entry, body[start:], plan)

    def send(self, entry, rest, plan):
        stop = plan.get("stop", len(rest))
        self.wfile.write(rest[:stop])
        entry.sent = len(rest[:stop])
        if plan.get("how") == "stall":
            self.server.over.wait(20)
        elif plan.get("how") == "rst":
            time.sleep(0.02)  # what is still unread is lost with a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.plan, self.always, self.requests = {}, [], {}, []
        self.over = threading.Event()

    def handle_error(self, *_):
        pass  # a client that was killed

    def of(self, archive):
        """Requests for one archive."""
        return [entry for entry in self.requests if archive.url.endswith(entry.path)]


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.over.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No waiting between attempts, and no proxy between test and loopback."""
    monkeypatch.setattr(archives, "PAUSE", 0)
    monkeypatch.setattr(archives, "TIMEOUT", 5)
    monkeypatch.setattr(os, "sync", lambda: None, raising=False)
    monkeypatch.setenv("no_proxy", "*")


def zipped(members: dict) -> bytes:
    """A zip of name (or ZipInfo) -> bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name, data in members.items():
            bundle.writestr(name, data)
    return buffer.getvalue()


class Coco:
    """A small COCO on a server, and the folders into which it shall go."""

    def __init__(self, server: Server, folder: Path):
        noise = random.Random(0)
        self.server = server
        self.photos = {name: noise.randbytes(20_000 + 999 * k) for k, name in enumerate(NAMES)}
        images = [{"id": int(name[:12]), "file_name": name} for name in NAMES]
        captions = [{"id": k, "image_id": image["id"], "caption": "a dog"} for k, image in enumerate(images)]
        content = json.dumps({"images": images, "annotations": captions}).encode()
        self.captions = {"captions_val2017.json": content, "captions_train2017.json": b'{"images": []}' * 99}
        self.image_dir, self.annotation_dir = folder / "data" / "val2017", folder / "data" / "annotations"
        self.data = folder / "data"
        self.serve_images({"val2017/": b""} | {f"val2017/{name}": data for name, data in self.photos.items()})
        members = {f"annotations/{name}": data for name, data in self.captions.items()}
        self.annotations = self.serve("trainval.zip", zipped({"annotations/instances.json": b"{}"} | members))

    def serve(self, name: str, body: bytes) -> archives.Archive:
        """Put a file on the server; the Archive that it is."""
        self.server.files[f"/{name}"] = body
        url = f"http://127.0.0.1:{self.server.server_port}/{name}"
        return archives.Archive(url, len(body), hashlib.sha256(body).hexdigest())

    def serve_images(self, members: dict | bytes) -> None:
        self.zip = members if isinstance(members, bytes) else zipped(members)
        self.images = self.serve("val2017.zip", self.zip)
        self.path, self.part = self.data / "val2017.zip", self.data / "val2017.zip.part"

    def fetch(self, **changes):
        return download.fetch(self.image_dir, self.annotation_dir, self.images, self.annotations, **changes)

    def put_captions(self) -> None:
        """The caption files are there already, so that only the images' archive is fetched."""
        self.annotation_dir.mkdir(parents=True)
        for name, data in self.captions.items():
            (self.annotation_dir / name).write_bytes(data)

    def put_part(self, data: bytes) -> None:
        self.data.mkdir(exist_ok=True)
        self.part.write_bytes(data)

    def check(self) -> None:
        """Everything is there, whole, under its name, and nothing else is."""
        assert {p.name: p.read_bytes() for p in self.image_dir.iterdir()} == self.photos
        assert {p.name: p.read_bytes() for p in self.annotation_dir.iterdir()} == self.captions
        assert {p.name for p in self.data.iterdir()} <= {
            ".lock_download",
            "annotations",
            "val2017",
            "val2017.zip",
            "trainval.zip",
        }


@pytest.fixture
def coco(server, tmp_path):
    return Coco(server, tmp_path)


@pytest.fixture
def photos(coco):
    """As `coco`, with the captions there already."""
    coco.put_captions()
    return coco


def background(coco: Coco, before: str = "") -> subprocess.Popen:
    """The same fetch in another process, after the Python in `before`."""
    code = f"from common.retrieval import archives, download\n{before}\nA = archives.Archive\n"
    folders = (str(coco.image_dir), str(coco.annotation_dir))
    archives = ", ".join(f"A({a.url!r}, {a.size}, {a.sha256!r})" for a in (coco.images, coco.annotations))
    code += f"download.fetch(*{folders!r}, {archives})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT)


def until(condition, seconds: float = 10) -> None:
    """Wait for another process or thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_all_is_fetched_and_a_later_run_needs_nothing(coco, capsys):
    """Neither the server nor the archives."""
    written = coco.fetch()
    captions = [coco.annotation_dir / name for name in download.CAPTIONS]
    assert written == [coco.data / "trainval.zip", *captions, coco.path, coco.image_dir]
    coco.check()
    assert coco.path.read_bytes() == coco.zip
    assert len(coco.server.requests) == 2
    coco.path.unlink()
    (coco.data / "trainval.zip").unlink()
    (coco.data / ".lock_download").unlink(missing_ok=True)
    assert coco.fetch() == []
    assert len(coco.server.requests) == 2
    assert not (coco.data / ".lock_download").exists()  # so a read-only folder is no obstacle
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_ten_interruptions(photos, how):
    stops = [1, 700, 9_999, 16_384, 4, 12_345, 8_192, 20_000, 3, 11_111]
    photos.server.plan = [{"stop": stop, "how": how} for stop in stops]
    photos.fetch()
    photos.check()
    requests = photos.server.of(photos.images)
    assert len(requests) == 11
    for before, after in zip(requests, requests[1:], strict=False):
        assert before.start <= after.start <= before.start + before.sent
    sent = sum(entry.sent for entry in requests)
    if how == "fin":  # with a reset the system drops what the process hasn't read yet
        assert [entry.start for entry in requests] == [sum(stops[:k]) for k in range(11)]
        assert sent == len(photos.zip)
    assert sent < 1.5 * len(photos.zip)


def test_a_run_that_gave_up_is_taken_up_by_the_next(photos):
    photos.server.plan = [{"stop": 5_000}] + [{"status": 503}] * archives.ATTEMPTS
    with pytest.raises(UserError, match=r"HTTP 503.*5,000 of [\d,]+ bytes. Run the same command again"):
        photos.fetch()
    assert len(photos.server.requests) == 1 + archives.ATTEMPTS
    photos.fetch()
    assert photos.server.requests[-1].start == 5_000
    photos.check()


def test_killed_while_it_fetches(photos):
    photos.server.plan = [{"stop": 50_000, "how": "stall"}]
    process = background(photos)
    until(lambda: photos.part.exists() and photos.part.stat().st_size == 50_000)
    kill(process)
    assert not photos.image_dir.exists()
    photos.fetch()
    photos.check()
    assert [entry.start for entry in photos.server.requests] == [0, 50_000]


# Half of the third file is written when the process stops for ever.
STOPS = """
import shutil, time
whole, calls = shutil.copyfileobj, []
def copy(source, file, length):
    calls.append(1)
    if len(calls) < 3:
        return whole(source, file, length)
    file.write(source.read(5_000))
    file.flush()
    time.sleep(60)
shutil.copyfileobj = copy
"""


@pytest.mark.parametrize("there", [0, 2])
def test_killed_while_it_unpacks(photos, there):
    photos.path.write_bytes(photos.zip)
    for name in NAMES[:there]:
        photos.image_dir.mkdir(exist_ok=True)
        (photos.image_dir / name).write_bytes(photos.photos[name])
    process = background(photos, before=STOPS)
    pattern = f".val2017.{process.pid}.unpacking/{NAMES[there + 2]}"
    until(lambda: any(p.stat().st_size == 5_000 for p in photos.data.glob(f"**/{pattern}")))
    kill(process)
    assert photos.image_dir.exists() == bool(there)
    found = {p.name: p.read_bytes() for p in photos.data.glob("val2017/*.jpg")}
    assert found == {name: photos.photos[name] for name in NAMES[:there]}
    assert photos.fetch() == [photos.image_dir]
    photos.check()
    assert photos.server.requests == []


def test_a_server_without_ranges_sends_all_again(photos):
    photos.put_part(photos.zip[:1_000])
    photos.server.always = {"ranges": False}
    photos.fetch()
    photos.check()
    assert [entry.start for entry in photos.server.requests] == [1_000]


def test_a_server_without_ranges_that_always_stops_is_given_up(photos):
    # Now more, now less: only what no attempt had before counts as progress.
    photos.server.plan = [{"ranges": False, "length": False, "stop": stop} for stop in (9_000, 8_000) * 9]
    with pytest.raises(UserError, match="closed too early"):
        photos.fetch()
    assert len(photos.server.requests) == 1 + archives.ATTEMPTS


@pytest.mark.parametrize("plan", [{"status": 416}, {"shift": -10}])
def test_a_range_that_is_refused_or_another_starts_from_zero(photos, plan):
    photos.put_part(photos.zip[:1_000])
    photos.server.plan = [plan]
    photos.fetch()
    photos.check()
    assert [entry.start for entry in photos.server.requests] == [1_000, 0]


def test_starting_from_zero_leaves_nothing_of_the_old_part(photos):
    photos.put_part(b"x" * 1_000)
    photos.server.plan = [{"ranges": False, "stop": 500}]
    photos.fetch()
    photos.check()
    assert [entry.start for entry in photos.server.requests] == [1_000, 500]


def test_a_part_that_is_too_long_starts_from_zero(photos):
    photos.put_part(b"x" * (len(photos.zip) + 1))
    photos.fetch()
    photos.check()


def test_a_whole_part_needs_no_request(photos):
    photos.put_part(photos.zip)
    photos.fetch()
    photos.check()
    assert photos.server.requests == []


@pytest.mark.parametrize("bad", ["on the server", "in the part"])
def test_a_wrong_byte_is_said_and_the_next_run_starts_from_zero(photos, bad):
    wrong = b"x" + photos.zip[1:]
    if bad == "in the part":
        photos.put_part(wrong[:30_000])
    else:
        photos.server.plan = [{"body": wrong}]
    with pytest.raises(UserError) as error:
        photos.fetch()
    found = hashlib.sha256(wrong).hexdigest()
    assert f"sha256 is {found} instead of {photos.images.sha256}" in str(error.value)
    assert "removed" in str(error.value) and "\n" not in str(error.value)
    assert not photos.part.exists() and not photos.path.exists() and not photos.image_dir.exists()
    photos.fetch()
    photos.check()
    assert photos.server.requests[-1].start == 0


@pytest.mark.parametrize("have", [0, 1_000, 90_000])
def test_a_shorter_file_on_the_server(photos, have):
    photos.put_part(photos.zip[:have])
    photos.server.always = {"body": photos.zip[:80_000]}
    with pytest.raises(UserError, match=f"application/zip, 80000 bytes instead of {len(photos.zip)}"):
        photos.fetch()
    assert photos.part.read_bytes() == photos.zip[:have]  # it may be right, and the server wrong today


def test_a_login_page_leaves_the_part_alone(photos):
    photos.put_part(photos.zip[:1_000])
    page = {"ranges": False, "length": False, "kind": "text/html", "body": b"<p>log in</p>" * 999}
    photos.server.always = page
    with pytest.raises(UserError, match="login page"):
        photos.fetch()
    assert photos.part.read_bytes() == photos.zip[:1_000]


def test_a_zip_that_ends_too_early_though_its_hash_is_right(photos):
    photos.serve_images(photos.zip[:60_000])
    with pytest.raises(UserError, match=r"val2017.zip can't be unpacked \(File is not a zip file\)"):
        photos.fetch()
    assert not photos.image_dir.exists()


def test_a_member_with_a_wrong_checksum(photos):
    where = photos.zip.index(photos.photos[NAMES[4]])
    photos.serve_images(photos.zip[:where] + b"xxxx" + photos.zip[where + 4 :])
    with pytest.raises(UserError, match=f"can't be unpacked.*Bad CRC-32.*{NAMES[4]}"):
        photos.fetch()
    assert not photos.image_dir.exists() and not list(photos.data.glob(".*.unpacking"))


def link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("val2017/link.jpg")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    "name",
    [
        "val2017/../../evil.jpg",
        "../evil.jpg",
        "/evil.jpg",
        "val2017/..\\evil.jpg",
        "val2017\\evil.jpg",
        "C:evil.jpg",
        "val2017/deep/evil.jpg",
        "val2017/evil.jpg\0.txt",
        "val2017/" + NAMES[0],
        link(),
    ],
    ids=repr,
)
def test_a_member_that_no_coco_archive_has(photos, name, tmp_path):
    buffer = io.BytesIO(photos.zip)
    with zipfile.ZipFile(buffer, "a") as bundle, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name that comes twice
        member = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo("x")
        if member is not name:
            member.filename = name  # zipfile fixes a bad name only in the constructor
        bundle.writestr(member, b"evil")
    photos.serve_images(buffer.getvalue())
    with pytest.raises(UserError) as error:
        photos.fetch()
    wanted = repr(member.filename).strip("'")
    assert "nothing was unpacked" in str(error.value) and wanted in str(error.value)
    assert not photos.image_dir.exists()
    assert not [p for p in tmp_path.rglob("*") if "evil" in p.name or "link" in p.name]


def test_nothing_listens(photos):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/val2017.zip"
    photos.images = archives.Archive(url, photos.images.size, photos.images.sha256)
    with pytest.raises(UserError) as error:
        photos.fetch()
    text = str(error.value)
    assert "refused" in text and "\n" not in text
    assert all(part in text for part in (url, archives.MIRROR, "data/README.md", str(photos.path)))


def test_a_name_that_does_not_resolve(photos, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    said = rf"\(Name or service not known\)\. Run the same command.*{re.escape(archives.MIRROR)}"
    with pytest.raises(UserError, match=said):
        photos.fetch()


def test_a_missing_file_is_said_at_once(photos):
    photos.server.files.clear()
    with pytest.raises(UserError) as error:
        photos.fetch()
    assert "HTTP 404" in str(error.value) and archives.MIRROR in str(error.value)
    assert len(photos.server.requests) == 1


def test_a_server_that_falls_silent_is_asked_again(photos, monkeypatch):
    monkeypatch.setattr(archives, "TIMEOUT", 0.15)
    photos.server.plan = [{"stop": 30_000, "how": "stall"}]
    photos.fetch()
    photos.check()
    assert [entry.start for entry in photos.server.requests] == [0, 30_000]


def test_a_server_that_stays_silent_is_given_up(photos, monkeypatch):
    monkeypatch.setattr(archives, "TIMEOUT", 0.05)
    photos.server.always = {"stop": 0, "how": "stall"}
    with pytest.raises(UserError, match="timed out"):
        photos.fetch()
    assert len(photos.server.requests) == archives.ATTEMPTS


def test_too_little_space_is_said_before_anything_is_fetched(coco, monkeypatch):
    needed = 2 * (coco.images.size + coco.annotations.size)
    free = SimpleNamespace(free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(UserError, match=r"0\.00 GB of free space are needed"):
        coco.fetch()
    assert coco.server.requests == []
    free.free = needed
    coco.fetch()
    coco.check()


def test_a_disk_that_fills_up_while_fetching_keeps_the_part(photos, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            room = 40_000 - self.tell()
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[: min(room, 7_000)])  # the system may take less than it was given

    def small(path, mode="r", **options):
        return Full(path, mode) if options.get("buffering") == 0 else open(path, mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(archives, "open", small, raising=False)
        with pytest.raises(UserError, match="No space left on device. Free some"):
            photos.fetch()
    assert photos.part.read_bytes() == photos.zip[:40_000]
    assert len(photos.server.requests) == 1
    photos.fetch()
    photos.check()
    assert photos.server.requests[-1].start == 40_000


def test_a_disk_that_fills_up_while_unpacking_leaves_no_folder(photos, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", fail)
        with pytest.raises(UserError, match="No space left on device"):
            photos.fetch()
    assert not photos.image_dir.exists() and not list(photos.data.glob(".*.unpacking"))
    assert photos.fetch() == [photos.image_dir]
    photos.check()


def test_files_of_the_user_that_differ_are_listed_and_stay(photos):
    photos.image_dir.mkdir()
    mine = {NAMES[1]: b"mine", NAMES[3]: b"", "notes.txt": b"note"}
    for name, data in mine.items():
        (photos.image_dir / name).write_bytes(data)
    with pytest.raises(UserError) as error:
        photos.fetch()
    rows = str(error.value).splitlines()[1:]
    assert rows == [
        f"  {NAMES[k]}: {n} bytes, in the archive {len(photos.photos[NAMES[k]])}" for k, n in ((1, 4), (3, 0))
    ]
    assert "move them away" in str(error.value)
    assert {p.name: p.read_bytes() for p in photos.image_dir.iterdir()} == mine
    for name in (NAMES[1], NAMES[3]):
        (photos.image_dir / name).unlink()
    photos.fetch()
    (photos.image_dir / "notes.txt").unlink()
    photos.check()


def test_a_link_to_nowhere_is_not_replaced(photos):
    photos.image_dir.mkdir()
    (photos.image_dir / NAMES[0]).symlink_to("nowhere")
    with pytest.raises(UserError, match=f"{NAMES[0]}: None bytes"):
        photos.fetch()
    assert (photos.image_dir / NAMES[0]).is_symlink()


def test_a_caption_file_that_is_cut_off_is_listed_first(coco):
    coco.put_captions()
    cut = coco.annotation_dir / "captions_train2017.json"
    cut.write_bytes(b'{"images": [{"id"')
    with pytest.raises(UserError, match="cut off.*move them away"):
        coco.fetch()
    assert cut.read_bytes() == b'{"images": [{"id"' and coco.server.requests == []


def test_only_what_is_missing_is_added(coco):
    coco.put_captions()
    (coco.annotation_dir / "captions_train2017.json").unlink()
    coco.image_dir.mkdir()
    for name in NAMES:
        (coco.image_dir / name).write_bytes(coco.photos[name])
    before = (coco.image_dir / NAMES[0]).stat().st_mtime_ns
    assert coco.fetch() == [coco.data / "trainval.zip", coco.annotation_dir / "captions_train2017.json"]
    coco.check()
    assert coco.server.of(coco.images) == []
    assert (coco.image_dir / NAMES[0]).stat().st_mtime_ns == before


def test_an_archive_that_was_put_there_by_hand_is_used(photos):
    photos.path.write_bytes(photos.zip)
    assert photos.fetch() == [photos.image_dir]
    photos.check()
    assert photos.server.requests == [] and photos.path.read_bytes() == photos.zip


@pytest.mark.parametrize("change", [lambda data: data[:-5], lambda data: b"x" + data[1:]])
def test_an_archive_of_the_user_that_differs_stays(photos, change):
    photos.path.write_bytes(change(photos.zip))
    with pytest.raises(UserError, match="is not the official archive.*Move it away"):
        photos.fetch()
    assert photos.path.read_bytes() == change(photos.zip)
    assert photos.server.requests == []


def test_an_incomplete_archive_of_the_user_can_be_continued(photos):
    photos.path.write_bytes(photos.zip[:70_000])
    with pytest.raises(UserError, match="incomplete download can be renamed to val2017.zip.part"):
        photos.fetch()
    photos.path.rename(photos.part)
    photos.fetch()
    photos.check()
    assert [entry.start for entry in photos.server.requests] == [70_000]


def test_a_captions_file_of_another_dataset_is_refused(photos):
    annotation = {"id": 1, "image_id": 1, "caption": "A dog."}
    content = {"images": [{"id": 1, "file_name": "other.jpg"}], "annotations": [annotation]}
    (photos.annotation_dir / "captions_val2017.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="(?s)names 1 images that val2017.zip does not hold.*  other.jpg"):
        photos.fetch()


@pytest.mark.parametrize("which", ["image_dir", "annotation_dir"])
def test_a_file_where_a_folder_belongs(coco, which):
    coco.data.mkdir()
    getattr(coco, which).write_bytes(b"mine")
    with pytest.raises(UserError, match="is not a folder"):
        coco.fetch()
    assert coco.server.requests == []


def test_of_two_at_once_the_second_waits(coco):
    coco.server.plan = [{"stop": 100, "how": "stall"}]
    results, waited = [], []
    first = threading.Thread(target=lambda: results.append(coco.fetch()))
    first.start()
    until(lambda: coco.server.requests)
    second = threading.Thread(target=lambda: results.append(coco.fetch(on_wait=lambda: waited.append(1))))
    second.start()
    until(lambda: waited)
    assert results == []
    coco.server.over.set()  # the stalled answer ends, and the first continues
    for thread in (first, second):
        thread.join(10)
    assert len(results) == 2 and results[0] and results[1] == []
    coco.check()
    assert len(coco.server.of(coco.images)) == 1 and len(coco.server.of(coco.annotations)) == 2


def test_leftovers_of_a_killed_run_are_removed(photos):
    """And nothing that only looks alike."""
    stale = photos.data / ".val2017.123.unpacking"
    mine = photos.data / ".val2017.mine.unpacking"
    for folder in (stale, mine):
        folder.mkdir()
        (folder / NAMES[0]).write_bytes(b"half")
    photos.fetch()
    assert not stale.exists() and (mine / NAMES[0]).read_bytes() == b"half"


def test_the_readme_of_the_data_names_the_same_archives():
    text = (PROJECT / "data" / "README.md").read_text(encoding="utf-8")
    for archive in (download.IMAGES, download.ANNOTATIONS):
        path = archive.url.removeprefix("http://images.cocodataset.org")
        row = next(line for line in text.splitlines() if line.startswith(f"| `{path}`"))
        assert f"| {archive.size:,} | `{archive.sha256}` |" in row
    assert archives.MIRROR in text


def test_the_real_captions_name_what_the_folder_lacks(coco_dir):
    missing = download.missing_images(coco_dir / "val2017", coco_dir / "annotations")
    assert len(missing) == 5_000 - len(list((coco_dir / "val2017").glob("*.jpg")))

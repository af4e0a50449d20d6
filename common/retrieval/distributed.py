"""One run as several processes that torchrun started, on one machine or on many that share their folders.

`python main.py` is a team of one, for which all of this is nothing. Under `torchrun --nproc-per-node 4
main.py` each process runs the same script. Work is dealt by explicit ranges of indices (a DistributedSampler
would add duplicates), rows travel through the files of the cache's folder, and only small results over the
network (gloo, on the CPU). Process 0 leads: it alone prints and writes whole files.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import files
from common.errors import UserError
from common.heavy import torch

# A process that dies is noticed at once, by its closed connection; a machine that loses its power closes
# none. Waiting itself is no error: a slow machine's share may take hours longer than a fast one's.
PATIENCE = datetime.timedelta(days=7)


@dataclass(frozen=True)
class Team:
    """The processes of one run. Every process makes the same calls of `wait` and `gather`, in one order."""

    number: int = 0  # of this process
    size: int = 1
    local_number: int = 0  # among those of its machine
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that prints and writes whole files."""
        return self.number == 0

    def share(self, n: int) -> range:
        """This process' stretch of n items; the stretches of all, in order, make range(n)."""
        return range(n * self.number // self.size, n * (self.number + 1) // self.size)

    def wait(self) -> None:
        """Wait until every process is here. Raises UserError where one of them has ended."""
        self.gather(None)

    def gather(self, value: Any) -> list:
        """The values of all processes, in order, for each of them. Raises UserError where one has ended."""
        values = [value] * self.size
        if self.size > 1:
            try:
                torch.distributed.all_gather_object(values, value)
            except RuntimeError as error:  # what gloo makes of a closed connection
                raise UserError(
                    "another process of this run ended, so all stop. What was encoded is kept: "
                    "run the same command again to continue"
                ) from error
        return values

    @contextlib.contextmanager
    def leader_first(self) -> Iterator[None]:
        """Let the leader go through a piece of code before the others do: it fetches, they find it there."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def check_same(self, facts: dict, what: str) -> None:
        """Raise UserError where a process knows other facts than the leader: other files, other versions."""
        found = self.gather(facts)
        for number, other in enumerate(found):
            differing = [name for name in facts if other[name] != found[0][name]]
            if differing:
                name = differing[0]
                raise UserError(
                    f"the processes of this run differ in {what}: {name} is {found[0][name]!r} for process 0 "
                    f"and {other[name]!r} for process {number}. All machines need the same files and versions"
                )

    def check_folder(self, folder: Path) -> None:
        """Raise UserError where a process doesn't see the files that the leader writes into a folder."""
        if self.size == 1:
            return
        token = folder / f".seen_by_all.{self.gather(os.getpid())[0]}.tmp"
        if self.leads:
            files.write_bytes(token, b"")
        self.wait()
        blind = [number for number, seen in enumerate(self.gather(token.is_file())) if not seen]
        if self.leads:
            token.unlink(missing_ok=True)
        if blind:
            raise UserError(
                f"{folder} is not the same folder for all processes: {blind[0]} does not see what 0 writes "
                "there. On several machines CACHE_DIR must be on a disk that they share"
            )

    def device(self, name: str) -> str:
        """What DEVICE means for this process: of several GPUs each process takes its own."""
        if self.size == 1 or name not in ("auto", "cuda") or not torch.cuda.is_available():
            return name
        n_devices = torch.cuda.device_count()
        if self.local_size > n_devices:
            raise UserError(
                f"torchrun started {self.local_size} processes on a machine with {n_devices} GPUs: "
                f"give --nproc-per-node {n_devices}"
            )
        return f"cuda:{self.local_number}"


ALONE = Team()


def together(main):
    """Decorate a script's `main(team)`: it is called with the processes that torchrun started, or with one.

    Whichever process meets an error first reports it, and the others end without a word. torchrun ends the
    processes that are left with a SIGTERM, which is taken for an interrupt from the keyboard.
    """

    @functools.wraps(main)
    def run():
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return main(ALONE)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        store, number, size = next(torch.distributed.rendezvous("env://"))
        team = Team(number, size, int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"]))
        try:
            _join(team, store)
            with contextlib.nullcontext() if team.leads else _silence():
                main(team)
            torch.distributed.destroy_process_group()
        except (UserError, OSError, KeyboardInterrupt):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process ends already
            if not _is_first(store):
                sys.exit(1)
            raise

    return run


def _join(team: Team, store) -> None:
    """Connect the processes, and deal a machine's cores to those that it runs.

    torchrun gives each of several processes one thread, unless OMP_NUM_THREADS says otherwise. Raises
    UserError where the processes can't reach one another.
    """
    if os.environ.get("OMP_NUM_THREADS", "1") == "1":
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        torch.set_num_threads(max(1, len(allowed) // team.local_size))
    store = torch.distributed.PrefixStore("team", store)
    try:
        torch.distributed.init_process_group(
            "gloo", store=store, rank=team.number, world_size=team.size, timeout=PATIENCE
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the processes of this run can't reach one another ({reason}). GLOO_SOCKET_IFNAME names the "
            "network interface that they should use, for example eth0"
        ) from error


def _is_first(store) -> bool:
    """Whether no other process has reported an error before. True where nobody can be asked any more."""
    try:
        return store.add("reported", 1) == 1
    except RuntimeError:
        return True


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep `print` from reaching the terminal."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield

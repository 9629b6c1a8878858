"""Jobs on Dask workers (Debian's python3-distributed): processes of this machine, or a scheduler that runs somewhere.

Invariant: a job that lost its worker is run again; at the third loss it is reported as a crash of that job. What is in flight is at most a job per
thread, so a lost worker takes no other job with it. A local cluster listens on 127.0.0.1 only and ends with this process.
Not handled: who may talk to a scheduler that others started is its owner's affair.
"""
from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import job as worker
from .base import BadInput
from .jobs import Job

LOSSES = 3
CONNECT_SECONDS, WORKER_SECONDS = 5, 30
_CONFIG = {"distributed.scheduler.allowed-failures": LOSSES - 1, "distributed.scheduler.worker-saturation": 1.0, "distributed.admin.tick.limit": "60s",
           "distributed.comm.retry.count": 0}


class Cluster:
    """A context manager; run() as jobs.Pool. scheduler None: so many processes here."""

    def __init__(self, count: int, scheduler: str | None) -> None:
        try:
            import dask
            import distributed
            from distributed.protocol.pickle import cloudpickle
        except ImportError:
            raise BadInput("more than one job at a time, and --scheduler, need Debian's python3-distributed (or take --jobs 1)") from None
        cloudpickle.register_pickle_by_value(worker)   # workers do not have this package
        self._distributed, self._count, self._scheduler = distributed, count, scheduler
        self._local: Any = None
        dask.config.set(_CONFIG)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)

    def __enter__(self) -> Cluster:
        self._folder = tempfile.TemporaryDirectory(prefix="orrery-")
        try:
            address: Any = self._scheduler or self._start()
            self._client = self._distributed.Client(address, timeout=CONNECT_SECONDS)
            self._client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except (OSError, TimeoutError, ValueError, self._distributed.TimeoutError) as error:
            raise BadInput(f"--scheduler {self._scheduler or 'local'}: {str(error).strip() or 'no worker answers'}") from None
        return self

    def _start(self) -> Any:
        """Loopback only, the small web servers of scheduler and workers too, which show nothing."""
        own = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "dashboard": False}
        process = own | {"nthreads": 1, "memory_limit": 0, "local_directory": self._folder.name, "silence_logs": logging.CRITICAL}
        self._local = self._distributed.SpecCluster(workers={i: {"cls": self._distributed.Nanny, "options": process} for i in range(self._count)},
                                                    scheduler={"cls": self._distributed.Scheduler, "options": own}, silence_logs=logging.CRITICAL)
        return self._local

    def __exit__(self, *reason: object) -> None:
        self._client.close()
        if self._local:
            self._local.close(timeout=10)
        self._folder.cleanup()

    def run(self, binary: Path, jobs: list[Job], deadline: float | None, tell: Callable[[int, str], None]) -> Iterator[dict[str, Any]]:
        """See jobs.Pool."""
        wanted, waiting, flying, done = worker.digest(str(binary)), list(enumerate(jobs))[::-1], {}, {}
        losses = [0] * len(jobs)
        try:
            for index in range(len(jobs)):
                while index not in done:
                    width = max(1, sum(self._client.nthreads().values()))
                    while waiting and len(flying) < max(width, self._count):
                        at, one = waiting.pop()
                        left = None if deadline is None else max(0.0, deadline - time.monotonic())
                        flying[self._client.submit(worker.work, str(binary), wanted, one.argv, left, pure=False)] = at
                    for at in self._collect(flying, done):
                        losses[at] += 1
                        if losses[at] == LOSSES:
                            raise BadInput(f"--scheduler {self._scheduler or 'local'}: a job was lost {LOSSES} times")
                        waiting.append((at, jobs[at]))
                    tell(len(jobs) - len(waiting) - len(flying), "")
                yield done.pop(index)
        finally:
            self._client.cancel(list(flying), force=True)

    def _collect(self, flying: dict[Any, int], done: dict[int, dict[str, Any]]) -> list[int]:
        """Take what has ended; wait for something for a moment. What is to be run again: its worker went with the result, before that was fetched."""
        try:
            ended = self._distributed.wait(list(flying), timeout=worker.POLL_SECONDS, return_when="FIRST_COMPLETED").done
        except (TimeoutError, self._distributed.TimeoutError):
            return []
        lost = []
        for future in ended:
            at, result = flying.pop(future), self._result(future)
            if result is None:
                lost.append(at)
            else:
                done[at] = result
        return lost

    def _result(self, future: Any) -> dict[str, Any] | None:
        if future.status == "finished":
            try:
                return future.result()
            except (self._distributed.client.CancelledError, KeyError):
                return None
        error = future.exception() if future.status == "error" else None
        if isinstance(error, self._distributed.scheduler.KilledWorker):
            return {"status": -9, "how": f"the loss of its worker, {LOSSES} times"}
        if error:
            raise BadInput(f"--scheduler {self._scheduler or 'local'}: a job failed: {error}")
        return None

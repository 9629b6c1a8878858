"""One job: a call of the explorer. Workers on other machines run this too, so it needs the standard library and util-linux only, and a worker needs
nothing but the binary: cluster.py sends the code along.

Invariant: the explorer does not outlive the thread that started it, however that ends (setpriv --pdeathsig).
"""
from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

POLL_SECONDS = 0.25


def digest(binary: str) -> str:
    """What tells one binary from another."""
    with open(binary, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def execute(binary: str, wanted: str, argv: tuple[str, ...], stop: Callable[[str], bool]) -> dict[str, Any]:
    """status (negative: a signal, None: stopped), out, err of the explorer; or refused: why this is not the binary that was meant. stop is called
    now and then with the last line of stderr; True ends the job."""
    try:
        here = digest(binary)
    except OSError as error:
        return {"refused": f"{binary}: {error.strerror}"}
    if here != wanted:
        return {"refused": f"{binary}: another binary (sha256 {here[:12]}) than the command's ({wanted[:12]})"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", binary, *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            while True:
                try:
                    status: int | None = process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if stop(_tail(err)):
                        status = None
                        break
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        out.seek(0)
        err.seek(0)
        return {"status": status, "out": out.read().decode(errors="replace"), "err": err.read().decode(errors="replace")}


def _tail(stream: Any) -> str:
    """The last whole line; the explorer goes on writing at the end of what it has written."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 400))
    lines = stream.read().decode(errors="replace").split("\n")
    stream.seek(0, 2)
    return lines[-2] if len(lines) > 1 else ""


def work(binary: str, wanted: str, argv: tuple[str, ...], deadline_seconds: float | None) -> dict[str, Any]:
    """What a Dask worker runs: a job that nobody waits for any more is stopped."""
    from distributed import get_worker
    worker, end = get_worker(), time.monotonic() + (deadline_seconds if deadline_seconds is not None else 1e9)
    key = worker.get_current_task()

    def stop(_: str) -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled" or time.monotonic() >= end
    return execute(binary, wanted, argv, stop)

"""Scratch trees of mutants: build/mutants/NAME is a copy of the sources and of what is built of them, so that only what the mutant touches is
compiled again. Copies, not links: nothing that happens in one can alter the checkout. A tree is removed when its mutant is done.
"""
from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .base import BUILD, ROOT
from .mutants import Mutant, path_ok, touched

TREES = BUILD / "mutants"
SOURCES = ("Makefile", "kernel", "sim", "harness", "tests", "scenarios")
PRODUCTS = ("build/plain", "build/tsan", "build/explore")
OUTPUT_BYTES = 64 << 20      # of one process that are read
FILE_BYTES = 512 << 20       # of a file one process writes, as the trace of a scenario: more is a runaway
BUILD_SECONDS = 300
NAME_SOURCE = '/* SPDX-License-Identifier: BSD-2-Clause */\nextern const char world_mutant[];\nconst char world_mutant[] = "{}";\n'

_live: set[int] = set()      # process groups
_lock = threading.Lock()
_stopping = threading.Event()


class Refused(Exception):
    """A patch that does not apply, or a kernel that does not compile: one line."""


@dataclass
class Done:
    """How a process ended. status: negative for a signal; hung: it was stopped at a limit of its own."""

    status: int
    output: str
    hung: bool = False


def _kill(group: int) -> None:
    """SIGTERM first: `orrery run` has a machine in a session of its own, which it takes along."""
    for number, wait in ((signal.SIGTERM, 0.5), (signal.SIGKILL, 0.0)):
        try:
            os.killpg(group, number)
            time.sleep(wait)
        except ProcessLookupError:
            return


def stop_all() -> None:
    """Ctrl-C: end every process and start none any more."""
    _stopping.set()
    with _lock:
        groups = list(_live)
    for group in groups:
        _kill(group)


def _limit(pid: int, cpu_seconds: int) -> None:
    """The soft limits end it with a signal that tells which one it was."""
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 2))


def run(argv: list[str], folder: Path, seconds: float, cpu_seconds: int | None = None, env: dict[str, str] | None = None) -> Done:
    """Run a command in a process group of its own; with cpu_seconds its output is limited as well. Nothing of the group is left behind."""
    with tempfile.TemporaryFile() as out:
        with _lock:
            if _stopping.is_set():
                raise KeyboardInterrupt
            process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                                       env=os.environ | (env or {}))
            _live.add(process.pid)
        hung = False
        try:
            if cpu_seconds is not None:
                _limit(process.pid, cpu_seconds)
            process.wait(seconds)
        except ProcessLookupError:   # it was faster than its limits
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            hung = True
        finally:
            _kill(process.pid)
            process.wait()
            with _lock:
                _live.discard(process.pid)
        out.seek(0)
        text = out.read(OUTPUT_BYTES).decode(errors="replace")
    if _stopping.is_set():
        raise KeyboardInterrupt
    return Done(process.returncode, text, hung or -process.returncode in (signal.SIGXCPU, signal.SIGXFSZ))


class Tree:
    """One scratch tree; a context manager. quiet: warnings are no errors, as generated code may leave something unused."""

    def __init__(self, name: str, quiet: bool, products: bool = True) -> None:
        self.path = TREES / (re.sub(r"[^\w.-]", "_", name) + f".{os.getpid()}")   # two commands may run at once
        self.flags = ["WARN=-w"] if quiet else []
        self._copied = (*SOURCES, *PRODUCTS) if products else ("Makefile", "kernel", "sim")
        self._built: set[str] = set()

    def __enter__(self) -> Tree:
        shutil.rmtree(self.path, ignore_errors=True)
        (self.path / "build").mkdir(parents=True)
        for name in self._copied:
            if (ROOT / name).exists():
                done = run(["cp", "-a", str(ROOT / name), str(self.path / name)], ROOT, BUILD_SECONDS)
                if done.status:
                    raise OSError(0, done.output.strip(), str(self.path / name))
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def apply(self, mutant: Mutant) -> None:
        """Apply the patch: every line of context must be there. mutants.touched has looked where it goes."""
        patch = self.path / "build" / "mutant.patch"
        patch.write_text(mutant.text)
        for what in (["--numstat", "--summary"], []):
            done = run(["git", "apply", *what, "-p1", "--whitespace=nowarn", str(patch)], self.path, BUILD_SECONDS, env={"GIT_CEILING_DIRECTORIES": str(TREES)})
            if done.status:
                raise Refused("does not apply: " + (done.output.strip().splitlines() or ["git apply says nothing"])[0].removeprefix("error: "))
            for row in done.output.splitlines():
                path = row.split("\t")[-1]
                if "\t" not in row or not path_ok(path):
                    raise Refused(f"more than changes of files in kernel/: {row.strip()}")

    def explored(self, name: str) -> None:
        """The explorer built here says in its schedules which mutant they need."""
        (self.path / "tests/explore/mutant_name.c").write_text(NAME_SOURCE.format(name))

    def build(self, *targets: str, seconds: float = BUILD_SECONDS) -> None:
        """Make targets, each once; Refused if the compiler does not take the mutant."""
        targets = tuple(t for t in targets if t not in self._built)
        if not targets:
            return
        done = run(["make", "-s", "--no-print-directory", *self.flags, *targets], self.path, seconds)
        if done.status:
            lines = [line for line in done.output.splitlines() if "error" in line.lower()] or ["it took too long" if done.hung else done.output.strip()[-200:]]
            raise Refused("does not build: " + lines[0])
        self._built.update(targets)

    def rebuild(self, *targets: str) -> None:
        """The same after another patch."""
        self._built.difference_update(targets)
        self.build(*targets)


class Objects(Tree):
    """Compiles single files without debug information: does a mutant change any code at all? If not, no test can tell it from the kernel."""

    def __init__(self, quiet: bool) -> None:
        super().__init__("objects", quiet, products=False)
        self.flags += ["F_plain=-fno-pie -O2"]
        self._base: dict[str, bytes | None] = {}

    def unchanged(self, mutant: Mutant) -> bool:
        """Does a patch leave the code of the process as it is? Of more than sources of the kernel's two folders: not known."""
        files = touched(mutant.text, mutant.name)
        if not all(re.fullmatch(r"kernel/(core|x86)/\w+\.c", file) and (self.path / file).is_file() for file in files):
            return False
        before = [self._object(file) for file in files]
        self.apply(mutant)
        return before == [self._object(file) if (self.path / file).is_file() else None for file in files] and None not in before

    def _object(self, file: str) -> bytes | None:
        target = Path("build/plain") / file.replace(".c", ".o")
        (self.path / target).unlink(missing_ok=True)
        done = run(["make", "-s", "--no-print-directory", *self.flags, str(target)], self.path, BUILD_SECONDS)
        return (self.path / target).read_bytes() if done.status == 0 else None

    def compile(self, mutant: Mutant) -> bytes | None:
        """The object file of a generated mutant; None if it does not compile, empty if it is the kernel's own."""
        source = self.path / mutant.file
        if mutant.file not in self._base:
            self._base[mutant.file] = self._object(mutant.file)
        original = source.read_bytes()
        try:
            self.apply(mutant)
            code = self._object(mutant.file)
        finally:
            source.unlink()
            source.write_bytes(original)
        return b"" if code == self._base[mutant.file] else code

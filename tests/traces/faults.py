#!/usr/bin/python3
"""Does a replay catch faults in the kernel's exit path and in the VMM, and name exit and field? Each patch of faults/ says what is wrong with it, the recording
that shows it, and what is caught; the recordings are made by the good build, the patch is built in a copy of the tree."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

PATCHES = sorted((ROOT / "tests/traces/faults").glob("*.patch"))
SOURCES = ("kernel", "sim", "harness", "scenarios", "tests", "Makefile", "orrery")
BUILT = ("build/plain", "build/user", "build/orrery-unicorn")
WORKERS = 2
ENV = os.environ | {"ORRERY_NO_BUILD": "1"}


def head(patch: Path) -> dict[str, str]:
    """The lines "# key: value" before the patch."""
    return dict(re.findall(r"^# (\w+): (.*)$", patch.read_text(), re.M))


def tree(folder: Path) -> Path:
    """A copy of what a build needs and of what is built, times kept: make does only what a patch changes."""
    for name in (*SOURCES, *BUILT):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
    return folder


def orrery(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(root / "orrery"), *words], capture_output=True, text=True, errors="replace", env=ENV)


def patched(root: Path, patch: Path, *words: str) -> None:
    """Apply or, with -R, take back. The files are new for make either way."""
    subprocess.run(["git", "apply", "-p1", *words, str(patch)], cwd=root, check=True, env=ENV | {"GIT_CEILING_DIRECTORIES": str(root.parent)})
    for name in re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.M):
        os.utime(root / name)


def caught(patch: Path, trees: "Queue[Path]", recordings: Path) -> tuple[bool, str]:
    """Build the fault, replay the recording it names: as it says? And what was seen."""
    says = head(patch)
    scenario, vendor = says["recording"].split()
    root = trees.get()
    try:
        patched(root, patch)
    except subprocess.CalledProcessError as error:
        trees.put(root)
        return False, str(error)
    try:
        built = subprocess.run(["make", "-s", "build/orrery-unicorn", "user"], cwd=root, capture_output=True, text=True)
        if built.returncode:
            return False, built.stdout + built.stderr
        done = orrery(root, "replay", str(recordings / f"{scenario}-{vendor}"), "--vendor", vendor, "--json")
        if done.returncode != 1:
            return False, f"status {done.returncode}\n{done.stdout}{done.stderr}"
        first = (json.loads(done.stdout)["first"] or [{"where": "", "field": "", "text": "no difference: " + done.stdout}])[0]
        named = re.match(r"exit \d+ vcpu \d+: \w+: field \S+ recorded \S+.* got \S+", first["text"])
        return bool(named) and f"{first['where']} {first['field']}" == says["caught"], first["text"]
    finally:
        patched(root, patch, "-R")
        trees.put(root)


def run(tap: Tap) -> None:
    """All of this file's checks."""
    with tempfile.TemporaryDirectory(prefix="orrery-test-") as name:
        scratch, trees = Path(name), Queue()
        for recording in sorted({head(patch)["recording"] for patch in PATCHES}):
            scenario, vendor = recording.split()
            done = orrery(ROOT, "record", scenario, "--vendor", vendor, "-o", str(scratch / f"{scenario}-{vendor}"))
            if not tap.check(done.returncode == 0, f"record {recording} for the faults", done.stdout[-500:] + done.stderr[-500:]):
                return
        for n in range(WORKERS):
            trees.put(tree(scratch / f"tree{n}"))
        with ThreadPoolExecutor(WORKERS) as pool:
            for patch, (good, seen) in zip(PATCHES, pool.map(lambda patch: caught(patch, trees, scratch), PATCHES)):
                says = head(patch)
                tap.check(good, f"fault {patch.stem}: {says['what']}: caught by {says['recording']}: {says['caught']}", seen)


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())

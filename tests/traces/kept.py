#!/usr/bin/python3
"""Do the kept traces (scenarios/traces) still replay, with the VMM and without it, on both models?"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

ENV = os.environ | {"ORRERY_NO_BUILD": "1"}
KEPT = ROOT / "scenarios" / "traces"


def replay(job: tuple[Path, str, str]) -> subprocess.CompletedProcess[str]:
    folder, model, mode = job
    return subprocess.run([str(ROOT / "orrery"), "replay", str(folder), "--vendor", model, *mode.split()], capture_output=True, text=True, errors="replace", env=ENV)


def run(tap: Tap) -> None:
    """All of this file's checks."""
    folders = sorted(p for p in KEPT.iterdir() if p.is_dir())
    listed = set(re.findall(r"^\| (`.*?) \|", (KEPT / "README.md").read_text(), re.M))
    named = {name for row in listed for name in re.findall(r"`([\w-]+)`", row)}
    there = {p.name.rsplit("-", 2)[0] for p in folders}
    tap.check(named == there, "the table of kept traces names what is there", f"{sorted(named ^ there)}")
    jobs = [(folder, model, mode) for folder in folders for model in ("vmx", "svm") for mode in ("", "--kernel-only")]
    with ThreadPoolExecutor(2) as pool:
        for (folder, model, mode), done in zip(jobs, pool.map(replay, jobs)):
            good = done.returncode == 0 and re.search(r"^replay: [1-9]\d* exits, no difference$", done.stdout, re.M)
            tap.check(good, f"{folder.name} replays on {model} {mode or 'with its VMM'}", done.stdout[-800:] + done.stderr[-300:])


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())

#!/usr/bin/python3
"""Does every schedule in scenarios/schedules still say what it said? Replayed in tolerant mode, since the code has moved on: one that names a mutant
must show its verdict again, on that mutant; one of the kernel as it is (line `mutant -`) is of a bug that was fixed, and must be clean.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "harness"))
from orrery import explore  # noqa: E402
from orrery.base import BadInput  # noqa: E402
from tap import Tap  # noqa: E402

FOLDER = ROOT / "scenarios/schedules"


def header(path: Path) -> dict[str, str]:
    """The header lines by their first word."""
    return dict(line.split(" ", 1) for line in path.read_text(errors="replace").split("\n\n")[0].splitlines() if " " in line)


def replay(binary: Path, path: Path) -> tuple[int, str]:
    """Exit status, and what was found, as a schedule's verdict has it."""
    done = subprocess.run([str(binary), "replay", str(path), "--mode", "tolerant", "--json"], capture_output=True, text=True, errors="replace")
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return done.returncode, done.stderr.strip()
    return done.returncode, f"{found['end']}: {found['message']}" if found["status"] == "bug" else found["status"]


def kind(verdict: str) -> str:
    """What does not change with the addresses of things: how it ended, and the broken rule if there is one."""
    return verdict.split("]")[0]


def run(tap: Tap, folder: Path = FOLDER) -> None:
    """Every schedule; the binary of the kernel itself must be built."""
    paths: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.schedule")):
        paths.setdefault(header(path).get("mutant", "-"), []).append(path)
    for mutant, of in sorted(paths.items()):
        try:
            with explore.explorer(mutant) as binary:
                for path in of:
                    status, said = replay(binary, path)
                    wanted = (0, "clean") if mutant == "-" else (1, header(path).get("verdict", ""))
                    tap.check((status, kind(said)) == (wanted[0], kind(wanted[1])), f"schedule {path.name}: {wanted[1]}", f"status {status}: {said}\n./orrery explore --replay {path} --mode tolerant")
        except BadInput as error:
            tap.fail(f"schedules of mutant {mutant}", str(error))


if __name__ == "__main__":
    os.environ.setdefault("ORRERY_NO_BUILD", "1")
    whole = Tap()
    run(whole)
    sys.exit(whole.finish() if any(FOLDER.glob("*.schedule")) else print("no schedules"))

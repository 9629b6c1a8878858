#!/usr/bin/python3
"""A bounded number of inputs through every fuzz target: run.py [RUNS]. A target that is not built is a failure."""
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402


def run(tap: Tap, runs: int) -> None:
    """Each target with its seeds (tests/fuzz/TARGET.seeds/) and the same random seed each time."""
    for source in sorted((ROOT / "tests/fuzz").glob("*.c")):
        binary = ROOT / "build/fuzz" / source.stem
        seeds = [str(p) for p in [source.with_suffix(".seeds")] if p.is_dir()]
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run([str(binary), f"-runs={runs}", "-seed=1", "-max_len=8192", "-rss_limit_mb=2048", f"-artifact_prefix={ROOT}/build/fuzz/", scratch, *seeds],
                                  capture_output=True, text=True, errors="replace") if binary.is_file() else None
        tap.check(done is not None and done.returncode == 0, f"fuzz {source.stem}: {runs} inputs", done.stderr[-1500:] if done else "not built")


if __name__ == "__main__":
    result = Tap()
    run(result, int(sys.argv[1]) if len(sys.argv) > 1 else 20000)
    sys.exit(result.finish())

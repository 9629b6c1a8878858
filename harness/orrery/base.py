"""What every module of the command shares: the checkout's paths, the one error type, and how outside bytes are shown."""
from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SCENARIOS = ROOT / "scenarios"


class BadInput(Exception):
    """The user's input makes no sense: one clear line, exit status 2."""


class Parser(argparse.ArgumentParser):
    """Bad arguments are bad input."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise BadInput(message + f" (try: {self.prog} --help)")


_ESCAPED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]")


def escape(text: str) -> str:
    """Make a guest's output harmless for a terminal: control characters other than tab and newline become \\xNN."""
    return _ESCAPED.sub(lambda m: "\\x%02x" % min(ord(m.group()), 0xFF), text.replace("\r\n", "\n"))


def make(*targets: str) -> None:
    """Bring build products up to date; the build's own messages tell what is wrong."""
    done = subprocess.run(["make", "--no-print-directory", "-C", str(ROOT), "-s", *targets], capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:]
        raise BadInput(f"build of {' '.join(targets)} failed: {errors[0] if errors else 'make says nothing'}")

"""Replay a recording in the process: kernel and VMM run for real, the guest is the recording; or without the VMM."""
from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from . import bundle as bundles
from . import machines, manifest, run, trace
from .base import BadInput

VENDORS = ("vmx", "svm")


def options(p: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    p.add_argument("recording", type=Path, metavar="DIR")
    p.add_argument("--vendor", choices=VENDORS, help="model to replay on (default: the recording's)")
    p.add_argument("--continue", dest="go_on", action="store_true", help="report every difference, not only the first")
    mode = p.add_mutually_exclusive_group()
    mode.add_argument("--kernel-only", action="store_true", help="without the VMM: its recorded answers are given; also for parts of a recording")
    mode.add_argument("--load", action="store_true", help="without the VMM, and nothing is compared; also for imported recordings")
    p.add_argument("--json", action="store_true", help="print one JSON object (docs/traces.md says which) instead of text")


def _vendor(args: argparse.Namespace, env: dict[str, str]) -> str:
    chosen = args.vendor or env.get("vendor", VENDORS[0])
    if chosen not in VENDORS:
        raise BadInput(f"{args.recording / 'metadata'}: env: vendor: '{chosen}' cannot run a guest; --vendor takes {' or '.join(VENDORS)}")
    return chosen


def _with_vmm(args: argparse.Namespace, env: dict[str, str], scratch: Path) -> list[str]:
    """The runner's words for a replay with the VMM; the bundle is made anew."""
    missing = [key for key in ("scenario", "cpus") if key not in env]
    if missing or not env["cpus"].isdecimal():
        raise BadInput(f"{args.recording / 'metadata'}: env: {missing[0] if missing else 'cpus'}: {'missing' if missing else 'no number'}"
                       " (--kernel-only and --load do not need it)")
    vendor = _vendor(args, env)
    try:
        scenario = manifest.load(env["scenario"])
        chosen, cpus = machines.resolve(scenario, "sim", vendor, int(env["cpus"]))
    except BadInput as error:
        raise BadInput(f"{args.recording / 'metadata'}: env: {error}") from None
    file = scratch / "bundle"
    file.write_bytes(bundles.build(scenario))
    return [str(file), str(args.recording), "--vendor", chosen, "--cpus", str(cpus), "--memory", str(scenario.memory_mb), *machines.sim_line(scenario)]


def verb(args: argparse.Namespace) -> int:
    """./orrery replay; the exit status of the runner."""
    env = trace.environment(args.recording)
    alone = args.kernel_only or args.load
    machines.prepare("sim")
    with tempfile.TemporaryDirectory(prefix="orrery-") as name:
        scratch = Path(name)
        words = [str(args.recording), "--vendor", _vendor(args, env)] if alone else _with_vmm(args, env, scratch)
        for wanted, word in ((args.go_on, "--continue"), (args.kernel_only, "--kernel-only"), (args.load, "--load")):
            words += [word] if wanted else []
        result = scratch / "result.json"
        words += ["--json", str(result)] if args.json else []
        process = subprocess.Popen([str(machines.SIM_BINARY), "replay", *words], stdout=subprocess.PIPE)
        try:
            output = process.communicate()[0].decode("utf-8", "replace")
        finally:
            run.stop(process)
        if args.json and result.is_file():
            sys.stdout.write(result.read_text())
        elif not args.json:
            sys.stdout.write(run.escape(output))
        return process.returncode if process.returncode in (0, 1, 2) else 1

"""Verbs, options, exit statuses: 0 all that was asked for was seen, 1 it was not, 2 bad input (one line)."""
from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

from . import bundle as bundles
from . import bench, doctor, explore, finding, machines, manifest, mutate, record, replay, report, run, sites, trace, trace_report, trace_shrink
from .base import BadInput, Parser

STATUS = "exit status: 0 everything the manifest asks for was seen, 1 not, 2 bad input"


def _natural(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 .. 2^64 - 1")
    return value


def _add(verbs: argparse._SubParsersAction, name: str, help_text: str, example: str, status: str = STATUS) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=help_text, description=help_text, epilog=f"example: {example}\n{status}",
                            formatter_class=argparse.RawDescriptionHelpFormatter)


def _machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", help="a name that ./orrery list shows")
    parser.add_argument("--on", default="sim", metavar="sim|qemu|bochs", help="the machine (default: sim)")
    parser.add_argument("--vendor", choices=("vmx", "svm"), help="virtualization of the machine (default: its first)")
    parser.add_argument("--cpus", type=_natural, help="CPUs (default: what the scenario needs)")
    parser.add_argument("--seed", type=_natural, default=0, help="sim: seed of the choices; 0 is the straight run")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(prog="orrery", description="Run, record and replay scenarios on the Orrery microhypervisor.", epilog=STATUS)
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    p = _add(verbs, "run", "run a scenario", "./orrery run guest-hello --on qemu")
    _machine_options(p)
    p.add_argument("--args", action="append", default=[], metavar="PROGRAM=TEXT", help="other arguments for a program than the manifest's")
    p.add_argument("--json", action="store_true", help="print one JSON object instead of the console")
    p.add_argument("--no-exits", action="store_true", help="with --json: do not count VM exits, which takes QEMU and Bochs long when there are many")
    p.add_argument("--exits", action="store_true", help="print a table of VM exits by reason at the end")
    p.add_argument("--gdb", action="store_true", help="start under a debugger (sim: harness/orrery-gdb.py is loaded; qemu: loopback server)")
    p.add_argument("--interactive", action="store_true", help="qemu: this terminal is the console, unescaped")
    p = _add(verbs, "record", "record the VM exits of a scenario", "./orrery record guest-hello --on qemu -o build/recording")
    _machine_options(p)
    p.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the recording")
    p.add_argument("--all", action="store_true", help="hypercalls, messages, scheduling, interrupts and shootdowns, too: for looking, no replay needs them")
    replay.options(_add(verbs, "replay", "replay a recording in the process", "./orrery replay build/recording --vendor svm",
                        "exit status: 0 no difference, 1 one, 2 bad input"))
    p = _add(verbs, "trace", "look at a recording, import one, change one: orrery-trace; without arguments its commands; and report, shrink",
             "./orrery trace show build/recording --from 10 --to 20, ./orrery trace report build/recording -o trace.html",
             "exit status: 0 good, 1 not what was asked for (a difference), 2 bad input")
    p.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...")
    p = _add(verbs, "list", "list the scenarios", "./orrery list")
    p.add_argument("--json", action="store_true", help="print a JSON list")
    p = _add(verbs, "doctor", "what is installed, what is missing, how to get it", "./orrery doctor")
    p.add_argument("--json", action="store_true", help="print a JSON list")
    p = _add(verbs, "bundle", "write a scenario's boot bundle", "./orrery bundle hello --output hello.bundle")
    p.add_argument("scenario")
    p.add_argument("--output", type=Path, required=True, metavar="FILE")
    p = _add(verbs, "report", "report a finding from its events file, as text or as a page", "./orrery report events.json -o finding.html")
    p.add_argument("events", type=Path, metavar="EVENTS.json")
    p.add_argument("-o", "--output", type=Path, metavar="FILE.html", help="write a page that needs nothing but itself")
    p.add_argument("--text", action="store_true", help="print the text (the default without -o)")
    explore.options(_add(verbs, "explore", "search the schedules of a test for bugs, or replay what was found", ""))
    mutate.options(_add(verbs, "mutate", "does the suite find bugs? Run it against mutants of the kernel", ""))
    bench.options(_add(verbs, "bench", "measure path lengths of kernel operations and compare", ""))
    return top


def _request(args: argparse.Namespace, program_args: list[str], **more: object) -> dict[str, object]:
    scenario = manifest.load(args.scenario)
    manifest.arguments(scenario, program_args)
    vendor, cpus = machines.resolve(scenario, args.on, args.vendor, args.cpus)
    if args.seed and args.on != "sim":
        raise BadInput(f"--seed is for sim: {args.on} has no choices to seed")
    machines.needs(args.on)
    machines.prepare(args.on)
    return dict(manifest=scenario, on=args.on, vendor=vendor, cpus=cpus, seed=args.seed, **more)


def _run(args: argparse.Namespace) -> int:
    if args.interactive and args.on != "qemu":
        raise BadInput("--interactive is for qemu")
    request = _request(args, args.args, gdb=args.gdb, interactive=args.interactive, trace=args.exits or (args.json and not args.no_exits))
    outcome = run.run(request, None if args.json else sys.stdout)
    if args.gdb or args.interactive:
        return 0
    if args.json:
        print(json.dumps(outcome.as_json()))
        return 0 if outcome.ok else 1
    if args.exits:
        print("VM exits by reason:\n" + run.table(outcome.exits), end="")
    print(f"{outcome.scenario}: {'OK' if outcome.ok else 'FAILED: ' + outcome.why}")
    if not outcome.ok and outcome.on == "sim":
        print(f"again: ./orrery run {outcome.scenario} --on sim --vendor {outcome.vendor} --cpus {outcome.cpus} --seed {outcome.seed}"
              + "".join(f" --args {shlex.quote(text)}" for text in args.args))
    return 0 if outcome.ok else 1


def _record(args: argparse.Namespace) -> int:
    request = _request(args, [], trace=True)
    if args.all:
        request["manifest"] = replace(request["manifest"], kernel=f"{request['manifest'].kernel} trace=all".strip())
    outcome = run.run(request, sys.stdout)
    if outcome.ok:
        record.save(outcome, args.output)
    print(f"{outcome.scenario}: " + (f"recorded in {args.output}" if outcome.ok else f"FAILED: {outcome.why}"))
    return 0 if outcome.ok else 1


def _list(args: argparse.Namespace) -> int:
    found = [manifest.load(name) for name in manifest.names()]
    if args.json:
        print(json.dumps([{"name": m.name, "title": m.title, "machines": m.machines, "cpus": m.cpus} for m in found]))
    for m in found if not args.json else ():
        print(f"{m.name:14} {m.title} ({', '.join(m.machines)}; {m.cpus} CPU{'s' if m.cpus > 1 else ''})")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    if args.json:
        print(json.dumps(doctor.rows()))
    else:
        print(doctor.report(), end="")
    return 0 if all(row["installed"] for row in doctor.rows()) else 1


def _bundle(args: argparse.Namespace) -> int:
    data = bundles.build(manifest.load(args.scenario))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_bytes(data)
    return 0


def _report(args: argparse.Namespace) -> int:
    events = finding.load(args.events)
    sites.fill(events)
    try:
        if args.output:
            page = report.html(events)
            args.output.parent.mkdir(parents=True, exist_ok=True)
            args.output.write_text(page, encoding="utf-8")
        if args.text or not args.output:
            sys.stdout.reconfigure(errors="replace")
            print(report.text(events), end="")
    except BadInput as error:
        raise BadInput(f"{args.events}: {error}") from None
    return 0


# Commands of `trace` that are not orrery-trace's.
_TRACE = {"report": trace_report.run, "shrink": trace_shrink.run}


def _trace(args: argparse.Namespace) -> int:
    if args.words and args.words[0] in _TRACE:
        return _TRACE[args.words[0]](args.words[1:])
    return trace.through(args.words or ["--help"])


_VERBS = {"run": _run, "record": _record, "replay": replay.verb, "trace": _trace, "list": _list, "doctor": _doctor, "bundle": _bundle, "report": _report,
          "explore": explore.run, "mutate": mutate.run, "bench": bench.verb}


def main(argv: list[str]) -> int:
    """Entry point; returns the exit status."""
    signal.signal(signal.SIGTERM, run.interrupted)
    try:
        args = parser().parse_args(argv)
        return _VERBS[args.verb](args)
    except BadInput as error:
        run.bad(str(error))
        return 2
    except BrokenPipeError:   # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        run.bad(f"{error.filename or 'system'}: {error.strerror}")
        return 2
    except KeyboardInterrupt:
        return 130

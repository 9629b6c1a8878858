"""The machines: how each is started with a bundle, where its console and its trace come out, which vendors it has."""
from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .base import BUILD, ROOT, BadInput, make
from .manifest import MACHINES, Manifest

VENDORS = {"sim": ("vmx", "svm"), "qemu": ("svm",), "bochs": ("vmx", "svm")}
CPUS_MAX = {"sim": 64, "qemu": 64, "bochs": 8}
BOCHS_MODEL = {"vmx": "corei7_haswell_4770", "svm": "ryzen"}
# The tests boot other builds of the same kernel through these two.
SIM_BINARY = Path(os.environ.get("ORRERY_SIM", BUILD / "orrery-unicorn"))
KERNEL = Path(os.environ.get("ORRERY_KERNEL", BUILD / "bare" / "kernel.elf"))


@dataclass
class Request:
    """One run as asked for; folder is scratch space that outlives the machine."""

    manifest: Manifest
    on: str
    vendor: str
    cpus: int
    folder: Path
    seed: int = 0
    trace: bool = False
    gdb: bool = False
    interactive: bool = False
    counted: bool = False   # QEMU: the TSC counts instructions; sim: what is dear is counted at each RDTSC
    more: list[str] = field(default_factory=list)   # QEMU: further arguments


@dataclass
class Command:
    """How to start a machine. console None: its standard output is the console; else a file it writes to."""

    argv: list[str]
    console: Path | None = None
    trace: Path | None = None
    result: Path | None = None
    counts: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    good_status: tuple[int, ...] = (0,)


def resolve(manifest: Manifest, on: str, vendor: str | None, cpus: int | None) -> tuple[str, int]:
    """Check the machine, vendor and CPU count against each other; the vendor and count to use."""
    if on not in MACHINES:
        raise BadInput(f"unknown machine '{on}'; there are: {', '.join(MACHINES)}")
    if on not in manifest.machines:
        raise BadInput(f"scenario '{manifest.name}' does not run on {on}; it runs on: {', '.join(manifest.machines)}")
    chosen = vendor or VENDORS[on][0]
    if chosen not in VENDORS[on]:
        raise BadInput(f"{on} has no {chosen}; it has: {', '.join(VENDORS[on])}")
    count = manifest.cpus if cpus is None else cpus
    if not manifest.cpus <= count <= CPUS_MAX[on]:
        raise BadInput(f"--cpus {count}: '{manifest.name}' on {on} takes {manifest.cpus} to {CPUS_MAX[on]}")
    return chosen, count


def needs(on: str) -> None:
    """BadInput if the machine is not installed."""
    binary = {"sim": None, "qemu": "qemu-system-x86_64", "bochs": "bochs"}[on]   # sim's is built by prepare
    if binary and not shutil.which(binary):
        raise BadInput(f"{on} is not installed: ./orrery doctor tells how to get it")


def prepare(on: str) -> None:
    """Build what the machine loads, unless ORRERY_NO_BUILD says that it is there."""
    if os.environ.get("ORRERY_NO_BUILD"):
        return
    make("user", *(("hosted",) if on == "sim" else ("bare", "build/orrery-trace")))


def command(r: Request, bundle: Path) -> Command:
    """The command line of the machine for this request."""
    return {"sim": _sim, "qemu": _qemu, "bochs": _bochs}[r.on](r, bundle)


def sim_line(m: Manifest) -> list[str]:
    """The kernel's command line, as the runner takes it."""
    return ["--kernel", m.kernel] if m.kernel else []


def _sim(r: Request, bundle: Path) -> Command:
    result, trace, counts = r.folder / "result.json", r.folder / "trace.bin", r.folder / "counts.txt"
    argv = [str(SIM_BINARY), "run", str(bundle), "--vendor", r.vendor, "--cpus", str(r.cpus), "--memory", str(r.manifest.memory_mb),
            "--seed", str(r.seed), "--json", str(result), "--trace", str(trace), *sim_line(r.manifest)]
    if r.counted:
        argv += ["--counts", str(counts)]
    if r.gdb:
        argv = ["gdb", "-q", "-x", str(ROOT / "harness" / "orrery-gdb.py"), "--args", *argv]
    return Command(argv, result=result, trace=trace, counts=counts)


def _qemu(r: Request, bundle: Path) -> Command:
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,pku=off,pks=off,smap=off", "-m", str(r.manifest.memory_mb), "-smp", str(r.cpus),
            "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio" if r.interactive else "file:" + str(r.folder / "console.txt"),
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", str(KERNEL), "-append", r.manifest.kernel, "-initrd", str(bundle)]
    trace = None
    if r.trace:
        trace = r.folder / "trace.bin"
        argv += ["-serial", f"file:{trace}"]
    if r.counted:
        argv += ["-icount", "shift=0,sleep=off"]
    argv += r.more
    if r.gdb:
        argv += ["-S", "-gdb", "tcp:127.0.0.1:1234"]
    return Command(argv, console=None if r.interactive else r.folder / "console.txt", trace=trace, good_status=(1,))


def _bochs(r: Request, bundle: Path) -> Command:
    if r.gdb:
        raise BadInput("--gdb works on sim and qemu, not on bochs")
    iso = make_iso(r.folder, bundle, r.manifest.kernel)
    trace = r.folder / "trace.bin" if r.trace else None
    lines = [f"megs: {r.manifest.memory_mb}", "romimage: file=/usr/share/bochs/BIOS-bochs-latest",
             "vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest",
             f"cpu: model={BOCHS_MODEL[r.vendor]}, count={r.cpus}, ips=10000000, reset_on_triple_fault=0, ignore_bad_msrs=0",
             "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14", f"ata0-master: type=cdrom, path={iso}, status=inserted",
             "boot: cdrom", "display_library: term", f"com1: enabled=1, mode=file, dev={r.folder}/console.txt",
             f"log: {r.folder}/bochs.log", "panic: action=fatal", "error: action=report", "info: action=report", "debug: action=ignore",
             "clock: sync=none, time0=1000000000", "sound: driver=dummy", "speaker: enabled=0"]
    if trace:
        lines.append(f"com2: enabled=1, mode=file, dev={trace}")
    (r.folder / "bochsrc").write_text("\n".join(lines) + "\n")
    (r.folder / "debugger").write_text("c\n")
    return Command(["bochs", "-q", "-f", str(r.folder / "bochsrc"), "-rc", str(r.folder / "debugger")], console=r.folder / "console.txt",
                   trace=trace, env={"TERM": "vt100"}, good_status=(1,))


def make_iso(folder: Path, bundle: Path, line: str) -> Path:
    """A GRUB image (multiboot2, BIOS) of the bare kernel with this command line, and the bundle."""
    tree, iso = folder / "iso", folder / "boot.iso"
    (tree / "boot" / "grub").mkdir(parents=True, exist_ok=True)
    subprocess.run(["strip", "-g", "-o", str(tree / "boot" / "kernel.elf"), str(KERNEL)], check=True)
    shutil.copy(bundle, tree / "boot" / "bundle")
    config = (ROOT / "kernel" / "bare" / "grub.cfg").read_text()
    (tree / "boot" / "grub" / "grub.cfg").write_text(config.replace("/boot/kernel.elf", f"/boot/kernel.elf {line}"))
    done = subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "--locales=", "--fonts=", "--themes=", "-o", str(iso), str(tree)],
                          capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"grub-mkrescue failed: {done.stderr.strip().splitlines()[-1]}")
    return iso

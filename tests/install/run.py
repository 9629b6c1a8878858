#!/usr/bin/python3
"""Can a stranger use what `make install` installs, and nothing else of the tree? Installs to a temporary root, builds the examples outside the tree with gcc and
clang by pkg-config alone, explores them, replays what they find; checks the manual pages and that nothing is left after `make uninstall`."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

PREFIX = "/opt/stranger"   # not the default: is it in the .pc file?
NO_PROGRAMS = ("atomic_ops.h", "mach_ops.h", "mach_linkage.h")   # included by others; may be empty

# program, test, exit status and first line of the bounded search
PROGRAMS = (("deque", "deque", 0, "clean"), ("deque-bug1", "deque", 1, "bug: finding: item 1: owner 1 times, thief 1 times"), ("paging", "paging", 0, "clean"),
            ("paging-bug1", "paging", 1, "bug: finding: [TLB-FREED]"), ("paging-bug2", "paging", 1, "bug: finding: user mode reads 2222"))

# A kernel of one's own in place of the library's none; names of the library's insides; no instrumentation.
OWN = r"""
#include <orrery/world.h>
struct resume *kern_boot(u32 magic, u64 info) { world_fail("my boot"); }
struct resume *kern_trap(void *cpu, u64 trap, u64 info) { world_fail("my trap"); }
void kern_nmi(void *cpu, u32 vector) {}
int order_init(void); int order_init(void) { return 0; }
int stack_push(void); int stack_push(void) { return order_init(); }
static struct resume *r;
static void setup(void) { r = world_alloc(sizeof(*r)); r->kind = RESUME_WINDOW; mach_cpu_set(r); }
static void program(void) { stack_push(); world_run(r); }
WORLD_TEST(own, .cpus = 1, .setup = setup, .program = { program });
int main(int argc, char **argv) { return world_main(argc, argv); }
"""

# What becomes of copies: undone before the next run, and judged like any plain access. {}: the statement of CPU 1.
COPIES = r"""
#include <string.h>
#include <orrery/world.h>
struct big { u64 w[40]; };
static atomic_u64 *turn;
static struct big *b, *other, global;
static void setup(void) { turn = world_alloc(8); b = world_alloc(sizeof(*b)); other = world_alloc(sizeof(*other)); memset(other, 5, sizeof(*other)); }
static void program(void)
{
    struct big local = { .w[3] = 7 };
    world_assert(!b[0].w[3] && !global.w[3], "not undone");
    atomic_add(turn, 1);
    memset(b, 1, sizeof(*b));
    memcpy(&global, other, sizeof(global));
    memmove(b, other, sizeof(*b));
    *b = local;
    global = (struct big){ .w[3] = 9 };
}
static void neighbour(void) { struct big local; memset(&local, 0, sizeof(local)); (void)atomic_fetch_add(turn, 1); {} (void)local; }
WORLD_TEST(copies, .cpus = 2, .setup = setup, .program = { program, neighbour });
int main(int argc, char **argv) { return world_main(argc, argv); }
"""


class Stranger:
    """A folder outside the tree, an installed root, and the environment that finds it."""

    def __init__(self, scratch: Path) -> None:
        self.root, self.home = scratch / "root", scratch / "home"
        self.home.mkdir()
        clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "CFLAGS", "LDLIBS")}
        self.env = clean | {"PKG_CONFIG_PATH": f"{self.root}{PREFIX}/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": str(self.root)}

    def call(self, *command: str, cwd: Path | None = None, text: str | None = None, umask: int = -1) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=cwd or self.home, env=self.env, input=text, capture_output=True, text=True, errors="replace", timeout=600, umask=umask)

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        return self.call("make", "--no-print-directory", target, f"PREFIX={PREFIX}", f"DESTDIR={self.root}", cwd=ROOT, umask=0o077)

    def build(self, cc: str, name: str, source: str) -> subprocess.CompletedProcess[str]:
        """Compile and link one file as docs/testing.md says."""
        (self.home / f"{name}.c").write_text(source)
        return self.call("sh", "-ec", f"{cc} -g $(pkg-config --cflags orrery-world) -c {name}.c; {cc} -o {name} {name}.o $(pkg-config --libs orrery-world)")


def first(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.partition("\n")[0]


def said(done: subprocess.CompletedProcess[str]) -> str:
    return f"status {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-1500:]}"


def installed(tap: Tap, s: Stranger) -> None:
    done = s.make("install-files")
    files = [p for p in s.root.rglob("*") if p.is_file()]
    tap.check(done.returncode == 0 and len(files) > 15, "make install to a DESTDIR", said(done))
    closed = [str(p) for p in (s.root, *s.root.rglob("*")) if p.stat().st_mode & 0o777 != (0o755 if p.is_dir() else 0o644)]
    tap.check(not closed, "what is installed is readable by all and writable by its owner", "\n".join(closed))
    strange = [str(p) for p in files if re.search(r"/(include|lib)/", str(p)) and not re.search(r"/(include/orrery/|lib/liborrery\.a$|lib/pkgconfig/orrery-)", str(p))]
    named = [str(p) for p in files if str(ROOT).encode() in p.read_bytes() or str(s.root).encode() in p.read_bytes()]
    tap.check(not strange and not named, "all headers lie in orrery/; no file names the tree or the DESTDIR", "\n".join(strange + named))
    include = s.root / PREFIX[1:] / "include"
    bad = []
    for header in sorted(include.rglob("*.h")):
        if header.name not in NO_PROGRAMS:
            done = s.call("gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{include}", "-xc", "-", text=f"#include <{header.relative_to(include)}>\n")
            bad += [done.stderr] if done.returncode else []
    tap.check(not bad, "each header compiles alone, as ISO C", "\n".join(bad))
    library = s.root / PREFIX[1:] / "lib/liborrery.a"
    before = library.read_bytes()
    (ROOT / "build/lib/orrery.o").unlink()
    (ROOT / "build/lib/liborrery.a").unlink()
    done = s.make("install-files")
    tap.check(done.returncode == 0 and library.read_bytes() == before, "the library is the same when it is made again", said(done))


def pages(tap: Tap, s: Stranger) -> None:
    share = s.root / PREFIX[1:] / "share/man"
    for page, words in (("man1/orrery.1", ("replay a recording", "not among what make install installs")), ("man3/orrery-world.3", ("world_assert", "--preemptions", "pkg-config"))):
        lint = s.call("groff", "-man", "-ww", "-z", "-Tutf8", str(share / page))
        shown = s.call("sh", "-c", f"groff -man -Tascii -P-bcou '{share / page}'").stdout
        missing = [w for w in words if w not in " ".join(shown.split())]
        tap.check(lint.returncode == 0 and not lint.stderr and not missing, f"{page}: groff has nothing to say, and it is all there", f"{said(lint)}\nmissing: {missing}")
    verbs = set(re.findall(r"^    (\w+)  ", s.call(str(ROOT / "orrery"), "--help").stdout, flags=re.M))
    headed = set(re.findall(r"^\.SS (\w+)$", (share / "man1/orrery.1").read_text(), flags=re.M))
    tap.check(verbs and verbs == headed, "orrery(1) has every verb", str(verbs ^ headed))


def examples(tap: Tap, s: Stranger, cc: str) -> None:
    folder = s.home / f"examples-{cc}"
    shutil.copytree(ROOT / "docs/examples/stranger", folder)
    done = s.call("make", f"CC={cc}", cwd=folder)
    if not tap.check(done.returncode == 0 and "warning" not in done.stderr, f"{cc}: the examples build with pkg-config alone", said(done)):
        return
    for program, test, status, line in PROGRAMS:
        exe, schedule = str(folder / program), str(folder / f"{program}.schedule")
        done = s.call(exe, "run", test, "--preemptions", "2", "--delays", "2", "-o", schedule)
        tap.check(done.returncode == status and first(done).startswith(f"{test}: {line}"), f"{cc}: {program}, bounded: {line}", said(done))
        if status:
            again = s.call(exe, "replay", schedule)
            tap.check(again.returncode == 1 and first(again) == first(done), f"{cc}: {program}: its schedule replays", said(again))
        else:
            done = s.call(exe, "run", test, "--strategy", "random", "--runs", "1000")
            tap.check(done.returncode in (0, 3) and "bug" not in done.stdout and "1000 runs" in done.stdout, f"{cc}: {program}, random: nothing", said(done))
    done = s.call(str(folder / "deque-bug1"), "run", "deque", "--model", "sc")
    tap.check(done.returncode == 0, f"{cc}: deque-bug1 is a bug of store buffers: clean without", said(done))


def page_example(tap: Tap, s: Stranger, cc: str) -> None:
    """The program of docs/testing.md, and its wrong order put right."""
    text = (ROOT / "docs/testing.md").read_text()
    source = re.search(r"^```c\n(.*?)^```$", text, flags=re.S | re.M).group(1)
    wrong = re.search(r"(    atomic_store\(flag, 1\);.*\n)(    atomic_store\(data, 42\);\n)", source)
    right = source.replace(wrong.group(), wrong.group(2) + wrong.group(1))
    plain = source.replace("atomic_store(data, 42)", "data->v = 42").replace("atomic_load(data)", "data->v")
    for what, code, line in (("as printed", source, "message: bug: finding: data is 0"), ("put right", right, "message: clean"),
                             ("with plain accesses", plain, "message: bug: finding: [RACE-PLAIN]")):
        built = s.build(cc, "message", code)
        done = s.call("./message", "run", "message", "-o", "message.schedule") if built.returncode == 0 else built
        if tap.check(first(done).startswith(line) and not built.stderr, f"{cc}: the example of docs/testing.md, {what}: {line}", said(built) + said(done)) and "bug" in line:
            again = s.call("./message", "replay", "message.schedule")
            tap.check(again.returncode == 1 and first(again) == first(done), f"{cc}: its schedule replays", said(again))
    done = s.call("sh", "-ec", f"{cc} -I{s.root}{PREFIX}/include -c message.c; {cc} -o message message.o $(pkg-config --libs orrery-world); ./message run message")
    tap.check(done.returncode == 0 and "not seen: races" in done.stdout, f"{cc}: without -fsanitize=thread it says what it does not see", said(done))


def own_kernel(tap: Tap, s: Stranger, cc: str) -> None:
    for what, code, word in (("a kernel of its own is called", OWN, "my trap"), ("without one a trap is a panic", re.sub(r"struct resume \*kern_trap.*\n", "", OWN), "no kernel is linked")):
        built = s.build(cc, "own", code)
        done = s.call("./own", "run", "own") if built.returncode == 0 else built
        tap.check(done.returncode == 1 and word in first(done), f"{cc}: {what}", said(built) + said(done))


def copies(tap: Tap, s: Stranger, cc: str) -> None:
    for optimised in ("-O0", "-O2"):
        for statement, line in (("", "clean"), ("memset(b, 2, sizeof(*b));", "bug: finding: [RACE-PLAIN]"), ("memcpy(&local, b, sizeof(local));", "bug: finding: [RACE-PLAIN]"),
                                ("memmove(&local, b, sizeof(local));", "bug: finding: [RACE-PLAIN]"), ("*other = *b;", "bug: finding: [RACE-PLAIN]")):
            built = s.build(f"{cc} {optimised}", "copies", COPIES.replace("{}", statement))
            done = s.call("./copies", "run", "copies") if built.returncode == 0 else built
            tap.check(first(done).startswith(f"copies: {line}"), f"{cc} {optimised}: copies {statement}: {line}", said(built) + said(done))


def run(tap: Tap) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        s = Stranger(Path(scratch))
        installed(tap, s)
        pages(tap, s)
        for cc in ("gcc", "clang"):
            examples(tap, s, cc)
            page_example(tap, s, cc)
            own_kernel(tap, s, cc)
            copies(tap, s, cc)
        (keep := s.root / PREFIX[1:] / "include/other.h").write_text("")
        done = s.make("uninstall")
        left = [p for p in s.root.rglob("*") if p.is_file() or p.name == "orrery"]
        tap.check(done.returncode == 0 and left == [keep], "make uninstall removes all of it and nothing else", said(done) + str(left))


if __name__ == "__main__":
    only = Tap()
    run(only)
    sys.exit(only.finish())

"""TAP on standard output with a count at the end; shared by every test runner in this folder."""
import sys


class Tap:
    """Counts results and prints one TAP line each; finish() prints the plan and the count line."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0
        print("TAP version 13")

    def _next(self) -> int:
        return self.passed + self.failed + self.skipped + 1

    def ok(self, name: str) -> None:
        print(f"ok {self._next()} - {name}", flush=True)
        self.passed += 1

    def fail(self, name: str, why: str = "") -> None:
        print(f"not ok {self._next()} - {name}")
        for line in why.strip().splitlines()[:30]:
            print(f"#   {line}")
        sys.stdout.flush()
        self.failed += 1

    def skip(self, name: str, why: str) -> None:
        print(f"ok {self._next()} - {name} # SKIP {why}", flush=True)
        self.skipped += 1

    def check(self, condition: bool, name: str, why: str = "") -> bool:
        if condition:
            self.ok(name)
        else:
            self.fail(name, why)
        return condition

    def finish(self) -> int:
        """Plan and count line; returns the exit status: 1 if anything failed or nothing ran."""
        print(f"1..{self._next() - 1}")
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed or not self.passed else 0

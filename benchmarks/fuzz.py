"""Try many cases of what people may type or point at, and count how they end.

    python benchmarks/fuzz.py --examples 20000 --seed 1

The cases are those of `tests/fuzz` (`tests/fuzzing.py`): campaign files, set expressions, command
lines, files of frames, files of the machine. Each is accepted, or refused in one line; anything
else is printed with its case and makes the exit code 1. Prints counts, the slowest case and the
peak of memory above that of the imported package, of each kind in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import fuzzing
from hypothesis import HealthCheck, Phase, given, seed, settings

SHARES = {"campaign": 0.25, "set": 0.25, "command": 0.15, "frames": 0.2, "machine": 0.15}


def main() -> None:
    """Run every kind in its own process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=20_000, help="Cases of all kinds together.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=fuzzing.KINDS, help="One kind, in this process.")
    given_ = parser.parse_args()
    if given_.kind:
        sys.exit(try_kind(given_.kind, given_.examples, given_.seed))
    failed = 0
    for kind, share in SHARES.items():
        n = str(round(given_.examples * share))
        command = [sys.executable, __file__, "--kind", kind, "--examples", n]
        done = subprocess.run([*command, "--seed", str(given_.seed)], check=False)  # noqa: S603
        failed |= done.returncode
    sys.exit(failed)


def try_kind(kind: str, examples: int, number: int) -> int:
    """Try cases of one kind; print what came of them, and return the exit code."""
    ends: Counter[str] = Counter()
    faults: dict[str, str] = {}
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as root:
        home = Path(root) / "home"
        home.mkdir()
        for variable in [v for v in os.environ if v.startswith(("HEA_FLOWS_", "XDG_"))]:
            del os.environ[variable]
        os.environ.update(fuzzing.ENVIRONMENT, HOME=str(home))
        os.environ["HEA_FLOWS_DATA_DIR"] = str(Path(root) / "data")
        os.environ["MPLCONFIGDIR"] = str(Path(root) / "matplotlib")
        with tempfile.TemporaryDirectory(dir=root) as folder:
            fuzzing.warm_up(kind, Path(folder))
        idle = peak()

        @seed(number)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(fuzzing.KINDS[kind][0])
        def try_case(case: Any) -> None:  # noqa: ANN401  each kind has its own
            nonlocal slowest
            start = time.process_time()
            with tempfile.TemporaryDirectory(dir=root) as folder:
                try:
                    line = fuzzing.attempt(kind, case, Path(folder))
                except (Exception, fuzzing.HangError) as error:  # noqa: BLE001  counted
                    last = traceback.extract_tb(error.__traceback__)[-1]
                    place = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
                    faults.setdefault(place, f"{str(error)[:600]}\n    case: {repr(case)[:1500]}")
                    line = place
            end = "not foreseen" if line in faults else "refused"
            ends[fuzzing.ACCEPTED if line == fuzzing.ACCEPTED else end] += 1
            slowest = max(slowest, (time.process_time() - start, repr(case)[:200]))

        try_case()
    counts = ", ".join(f"{n} {end}" for end, n in sorted(ends.items()))
    memory = (peak() - idle) / 1e6
    print(f"{kind}: {counts}; slowest {slowest[0]:.2f} s of CPU time; {memory:.0f} MB above idle")
    print(f"    slowest case: {slowest[1]}")
    for place, fault in faults.items():
        print(f"  {place}: {fault}")
    sys.stdout.flush()
    return int(bool(faults))


def peak() -> int:
    """Return the largest memory of this process so far (bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()

"""Two processes that write the same files at once, many times.

    python benchmarks/atomic_writes.py --rounds 1000

In every round both processes write one model by `StoredFile.write_to` into a new folder and read it
back, then replace one file by `atomic_write` and read that. A failure is an exception, or a content
that nobody wrote; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from hea_flows.runtime import atomic_write
from hea_flows.schemas import StoredFile

#: Seconds that a process waits for the other one.
_TIMEOUT = 60.0


def write(
    number: int, folder: Path, rounds: int, size: int, barrier: Barrier, failures: Queue[str]
) -> None:
    """Write and read `rounds` times; report what goes wrong, and an empty text at the end."""
    model = bytes(range(256)) * (size // 256)
    file = StoredFile.from_bytes("model.pt", model)
    contents = [bytes([i]) * size for i in range(2)]
    for i in range(rounds):
        barrier.wait(_TIMEOUT)
        try:
            if file.write_to(folder).read_bytes() != model:
                failures.put(f"round {i}: short read of the model")
            atomic_write(folder / "shared", contents[number])
            if (folder / "shared").read_bytes() not in contents:
                failures.put(f"round {i}: short read of the shared file")
        except OSError as error:
            failures.put(f"round {i}: {error!r}")
        barrier.wait(_TIMEOUT)
        if number == 0:
            shutil.rmtree(folder)  # so that both write the model in the next round
    failures.put("")


def main() -> int:
    """Run two writers; print how many of their calls failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--kilobytes", type=int, default=1500, help="size of the model")
    options = parser.parse_args()
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(2), context.Queue()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        common = (Path(folder) / "files", options.rounds, 1024 * options.kilobytes, barrier, queue)
        writers = [context.Process(target=write, args=(i, *common)) for i in range(2)]
        for writer in writers:
            writer.start()
        failures: list[str] = []
        running = len(writers)
        while running:
            message = queue.get(timeout=options.rounds + _TIMEOUT)
            failures += [message] if message else []
            running -= not message
        for writer in writers:
            writer.join()
    print(
        f"{4 * options.rounds} calls of 2 processes in {options.rounds} rounds: "
        f"{len(failures)} failures, {time.perf_counter() - start:.0f} s"
    )
    for failure in failures[:10]:
        print(f"  {failure}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

"""What the benchmarks run on: a mongod, a data folder and a VASP of their own, gone afterwards."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from vasp_standin import environment

#: 1001 symmetry-distinct structures of 1 to 6 cells, every number of metals among them.
STRUCTURES = "1(1)+2(2,3,4,6)+3(3,4)+4(5)+5(5)"
ALLOY = {"elements": ["Mo", "Ta", "Nb", "W", "V"], "prototype": "2H-MX2", "anion": "S"}
#: A PAW potential is a file of about 200 kB.
_NUMBERS_IN_A_POTCAR = 13_000
_QUICK = Path(__file__).with_name("quick_vasp.py")


@contextmanager
def own_machine(*, quick: bool = True) -> Iterator[Path]:
    """Make the environment of this process that of a new machine; return its folder.

    Parameters
    ----------
    quick
        The executable evaluates wells in itself, not CHGNet in a server.
    """
    before = dict(os.environ)
    folder = Path(tempfile.mkdtemp(prefix="hea-flows-benchmark-"))
    for name in list(os.environ):
        if name.startswith(("HEA_FLOWS_", "JOBFLOW_", "ATOMATE2_")) or name == "FW_CONFIG_FILE":
            del os.environ[name]
    (folder / "home").mkdir()
    vasp = environment.prepare(folder / "vasp")
    _fill_potcars(folder / "vasp" / "potcars")
    if quick:
        command = f"{sys.executable} {_QUICK}"
        vasp |= {"ATOMATE2_VASP_CMD": command, "ATOMATE2_VASP_GAMMA_CMD": command}
    os.environ.update(vasp)
    os.environ.update(
        HOME=str(folder / "home"), HEA_FLOWS_DATA_DIR=str(folder / "data"), HEA_FLOWS_LOCAL="1"
    )
    from hea_flows.services import mongod

    try:
        yield folder
    finally:
        mongod.stop(folder / "data")
        environment.stop_server(folder / "vasp")
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def spread(everything: Sequence[Any], n: int) -> list[Any]:
    """Return `n` of a sequence at equal distances: small and large cells in the same shares.

    Raises
    ------
    ValueError
        If there are not so many.
    """
    if n > len(everything):
        msg = f"{n} structures were asked for; {STRUCTURES} has {len(everything)}"
        raise ValueError(msg)
    return [everything[int((i + 0.5) * len(everything) / n)] for i in range(n)]


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under a header; numbers are shown to two decimals."""
    texts = [[f"{x:.2f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *texts]) for i in range(len(header))]
    for row in [list(header), *texts]:
        print("  ".join(x.rjust(w) for x, w in zip(row, widths, strict=True)), flush=True)


def load() -> str:
    """Return how busy the machine is: what others run is in every wall time."""
    return "load " + " ".join(f"{x:.1f}" for x in os.getloadavg()) + f" on {os.cpu_count()} cores"


def _fill_potcars(folder: Path) -> None:
    """Give the synthetic POTCARs the size of real ones: programs read all their numbers."""
    rng = np.random.default_rng(0)
    lines = [
        "".join(f"{x:16.8E}" for x in row)
        for row in rng.normal(size=(_NUMBERS_IN_A_POTCAR // 5, 5))
    ]
    body = "\n".join(lines) + "\n"
    for path in folder.glob("*/POTCAR.*.gz"):
        text = gzip.decompress(path.read_bytes()).decode()
        full = text.replace(" End of Dataset", body + " End of Dataset")
        path.write_bytes(gzip.compress(full.encode(), compresslevel=1, mtime=0))

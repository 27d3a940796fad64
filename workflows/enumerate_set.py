"""Build a set of structures in Python, count it and write it as extended XYZ.

python workflows/enumerate_set.py model-4
python workflows/enumerate_set.py "2(2,4)" --elements Cu,Au --prototype fcc
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hea_flows import Alloy
from hea_flows.alloy.sets import parse, set_summary
from hea_flows.runtime.extxyz import write_frames


def main(
    expression: Annotated[str, typer.Argument(help="Set: 2(2)+3(3), or a name such as model-4.")],
    elements: Annotated[str, typer.Option(help="Alloyed elements.")] = "Mo,Ta,Nb,W,V",
    prototype: Annotated[str, typer.Option(help="Host.")] = "2H-MX2",
    anion: Annotated[str | None, typer.Option(help="Fixed sublattice, where it is open.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random terms.")] = 0,
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("structures.extxyz"),
) -> None:
    """Build a set of structures, count it and write it as extended XYZ."""
    # An alloy is a host lattice and the elements that share one of its sublattices.
    alloy = Alloy(tuple(elements.split(",")), prototype, anion or None)

    # A set is text until it is built; then it is a list of orderings, no two of them equivalent.
    orderings = parse(expression).build(alloy, seed)

    summary = set_summary(orderings)
    print(f"{expression}: {summary.structures} structures, {summary.sites} alloyed sites")
    for (n, size), count in summary.by_size.items():
        print(f"{n} components, {size} units per cell: {count}")

    # An ordering knows its ideal structure; its id is the same on every machine.
    frames = []
    for ordering in orderings:
        atoms = ordering.to_atoms()
        atoms.info.update(structure_id=ordering.id, formula=ordering.formula)
        frames.append(atoms)
    write_frames(output, frames)
    print(f"written: {output}")


if __name__ == "__main__":
    typer.run(main)

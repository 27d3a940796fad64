"""`hea-flows sets …` and `hea-flows deed`: alloy questions without a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hea_flows.cli.output import output_file, tell

if TYPE_CHECKING:
    from hea_flows.alloy.lattice import Ordering

sets = typer.Typer(help="Sets of structures.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.add_typer(sets, name="sets")
    app.command()(deed)


@sets.command("list")
def list_sets() -> None:
    """List the named sets and their expressions."""
    from rich.console import Console
    from rich.table import Table

    from hea_flows.alloy.sets import load_named_sets

    table = Table("name", "expression", "content", box=None, pad_edge=False)
    for name, entry in load_named_sets().items():
        note = " (inferred)" if entry.inferred else ""
        cells = (name, entry.expression, entry.description + note)
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    Console().print(table)


@sets.command()
def prototypes() -> None:
    """List the hosts."""
    from hea_flows.alloy.lattice import PROTOTYPES

    for name, prototype in PROTOTYPES.items():
        kind = "layer" if prototype.layer else "bulk"
        units = prototype.sites_per_cell
        cell = f", {units} formula units per primitive cell" if units > 1 else ""
        atoms = f"{prototype.atoms_per_unit:g} atoms per formula unit"
        typer.echo(f"{name}: {kind}, {atoms}{cell}")


@sets.command()
def show(
    expression: Annotated[str, typer.Argument(help="For example model-4, 2(2)+3(3), E(2,4).")],
    elements: Annotated[str, typer.Option(help="Alloyed elements.")] = "Mo,Ta,Nb,W,V",
    prototype: Annotated[
        str, typer.Option(help="Host; `sets prototypes` lists them. Or a file of one.")
    ] = "2H-MX2",
    alloyed: Annotated[
        str | None, typer.Option(help="Elements whose sites are alloyed, of a host from a file.")
    ] = None,
    anion: Annotated[str | None, typer.Option(help="Fixed sublattice, where it is open.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random terms.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", callback=output_file, help="Write the structures (extxyz); - prints."
        ),
    ] = None,
) -> None:
    """Count the structures of a set, by components and size and by element combination."""
    from hea_flows.alloy.lattice import Alloy, Prototype
    from hea_flows.alloy.sets import load_named_sets, parse, set_summary
    from hea_flows.config import check_sets
    from hea_flows.schemas import HostFile

    host: str | Prototype = prototype
    constants: dict[str, float] = {}
    if alloyed is not None:
        spec, constants = HostFile(file=prototype, alloyed=alloyed.split(",")).read()
        host = spec.to_prototype()
    chosen = tuple(e.strip() for e in elements.split(","))
    alloy = Alloy(chosen, host, anion or None, constants)
    labels = {entry.label: entry.expression for entry in load_named_sets().values()}
    parsed = parse(labels.get(expression, expression))
    check_sets([parsed.source], alloy)
    orderings = parsed.build(alloy, seed, most=None)
    summary = set_summary(orderings)
    if output is not None:
        _write(output, orderings)
    tell(f"{expression}: {summary.structures} structures, {summary.sites} alloyed sites", output)
    if parsed.canonical != expression.replace(" ", ""):
        tell(f"expression: {parsed.canonical}", output)
    for (n, size), count in summary.by_size.items():
        tell(f"  {n} components, {size} units per cell: {count}", output)
    for combination, count in summary.by_combination.items():
        tell(f"  {'-'.join(combination)}: {count}", output)
    for text in parsed.cost(alloy).rounded:
        tell(f"  composition {text}", output)
    if output is not None:
        tell(f"written: {output}", output)


def _write(path: Path, orderings: list[Ordering]) -> None:
    from hea_flows.runtime.extxyz import write_frames

    frames = []
    for ordering in orderings:
        atoms = ordering.to_atoms()
        atoms.info.update(structure_id=ordering.id, formula=ordering.formula)
        frames.append(atoms)
    write_frames(path, frames)


def deed(
    sigma: Annotated[float, typer.Option(help="Standard deviation of random cells (eV/unit).")],
    h_ave: Annotated[float, typer.Option(help="Their mean mixing enthalpy (eV/unit).")],
    h_hull: Annotated[
        float, typer.Option(help="Depth of the hull below the end members, ΔH_hull (eV/unit).")
    ],
    atoms_per_unit: Annotated[
        int, typer.Option(min=1, max=1000, help="Atoms per formula unit.")
    ] = 3,
) -> None:
    """Compute the disordered enthalpy-entropy descriptor, sqrt(1/(σ (H_ave + ΔH_hull)))."""
    from hea_flows.alloy.thermodynamics import deed as descriptor

    per_unit = descriptor(sigma, h_ave, h_hull)
    per_atom = descriptor(sigma, h_ave, h_hull, atoms_per_unit=atoms_per_unit)
    typer.echo(f"DEED = {per_unit:.0f} (eV/unit)⁻¹ = {per_atom:.0f} (eV/atom)⁻¹")

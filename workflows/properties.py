"""Elastic constants and phonons of a pure layer or crystal with a campaign's model, by atomate2.

python workflows/properties.py quickstart Mo
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from atomate2.forcefields.flows.elastic import ElasticMaker
from atomate2.forcefields.jobs import ForceFieldRelaxMaker, ForceFieldStaticMaker
from jobflow import Flow, JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.core import Structure

from hea_flows import find_connection
from hea_flows.alloy.sets import parse
from hea_flows.results.store import documents


def main(
    campaign: Annotated[str, typer.Argument(help="Name of a campaign in the database.")],
    element: Annotated[str, typer.Argument(help="Of the alloyed sublattice, such as Mo.")],
    fmax: Annotated[float, typer.Option(help="Convergence of relaxations (eV/Å).")] = 1e-4,
    *,
    phonons: Annotated[bool, typer.Option(help="Also phonons, which need phonopy.")] = True,
    min_length: Annotated[float, typer.Option(help="Of the phonons' supercell (Å).")] = 15.0,
) -> None:
    """Relax an end point with the model of a campaign; print its elastic constants and phonons."""
    if phonons and (missing := [p for p in ("phonopy", "seekpath") if find_spec(p) is None]):
        typer.echo(f"phonons need {missing[0]}: pip install 'hea-flows[phonons]'", err=True)
        raise typer.Exit(1)
    with find_connection(start_local=True).job_store() as store:
        tuned: Any = documents(store, "training", campaign, load=True)[-1]
        dataset: Any = documents(store, "dataset", campaign)[-1]
    alloy = dataset.alloy.to_alloy()
    atoms = next(o for o in parse("1(1)").build(alloy) if o.species == (element,)).to_atoms()
    structure = Structure(atoms.cell.array, atoms.symbols, atoms.get_scaled_positions())

    with tempfile.TemporaryDirectory() as folder:
        # atomate2 names a calculator by its function; the stored document promises the checksum.
        path = tuned.model_file.write_to(Path(folder))
        model: Any = {
            "force_field_name": {"@module": "hea_flows", "@callable": "load_calculator"},
            "calculator_kwargs": {
                "path": str(path),
                "sha256": tuned.model_file.sha256,
                "dtype": "float64",
            },
        }
        # The height of a layer's cell is vacuum, and stays as it is.
        mask = [1, 1, 0, 0, 0, 1] if alloy.host.layer else [1] * 6
        model["optimizer_kwargs"] = {"optimizer": "BFGS"}  # in place of FIRE: fewer steps
        relax = ForceFieldRelaxMaker(
            relax_kwargs={"fmax": fmax, "filter_kwargs": {"mask": mask}}, **model
        )
        atoms_only = ForceFieldRelaxMaker(relax_cell=False, relax_kwargs={"fmax": fmax}, **model)
        relaxed: Any = relax.make(structure)
        elastic = ElasticMaker(
            bulk_relax_maker=None,
            elastic_relax_maker=atoms_only,
            # Nothing holds a layer against strains out of its plane.
            fit_elastic_tensor_kwargs={"allow_elastically_unstable_structs": True},
        ).make(relaxed.output.structure, equilibrium_stress=relaxed.output.output.stress)
        flows: list[Any] = [relaxed, elastic]
        if phonons:
            from atomate2.forcefields.flows.phonons import PhononMaker

            phonon: Any = PhononMaker(
                bulk_relax_maker=None,
                static_energy_maker=None,
                phonon_displacement_maker=ForceFieldStaticMaker(**model),
                min_length=min_length,
            ).make(relaxed.output.structure)
            flows.append(phonon)
        memory = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
        run_locally(Flow(flows), store=memory, ensure_success=True, log=False, root_dir=folder)

    found = Structure.from_dict(memory.get_output(relaxed.uuid)["structure"])
    print(f"{found.reduced_formula}: a = {found.lattice.a:.4f} Å, model {tuned.model.title}")
    tensor = memory.get_output(elastic.output.uuid, load=True)["elastic_tensor"]
    show_elastic(np.array(tensor["raw"]), found, layer=alloy.host.layer)
    if phonons:
        document = memory.get_output(phonon.output.uuid, load=True)
        lowest = min(map(min, document["phonon_bandstructure"]["bands"]))
        print(f"phonons: lowest frequency {lowest:.3f} THz")


def show_elastic(tensor: np.ndarray, structure: Structure, *, layer: bool) -> None:
    """Print elastic constants (GPa) and Young's modulus; of a layer per length, in N/m."""
    unit = "GPa"
    if layer:
        # The stress of a cell is that of the layer spread over the height of the cell.
        height = structure.volume / np.linalg.norm(np.cross(*structure.lattice.matrix[:2]))
        tensor, unit = 0.1 * height * tensor, "N/m"  # 1 GPa Å = 0.1 N/m
        tensor = tensor[np.ix_([0, 1, 5], [0, 1, 5])]
    young = 1 / np.linalg.inv(tensor)[0, 0]
    c11, c12, shear = tensor[0, 0], tensor[0, 1], tensor[-1, -1]
    print(f"C11 = {c11:.2f} {unit}, C12 = {c12:.2f} {unit}, C66 = {shear:.2f} {unit}")
    print(f"Young's modulus along x: {young:.2f} {unit}")


if __name__ == "__main__":
    typer.run(main)

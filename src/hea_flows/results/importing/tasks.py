"""Runs of the documents that atomate2 keeps in a job store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import GPa

from hea_flows.results.importing.runs import Refused, Run


def read_store(file: Path, query: Mapping[str, Any]) -> Iterator[Run | Refused]:
    """Read VASP tasks and force-field tasks that a query finds; other documents are refused.

    Parameters
    ----------
    file
        YAML or JSON of a job store, or jobflow's own file with the key JOB_STORE.
    query
        Filter of MongoDB's for jobflow's documents, for example ``{"name": "relax 1"}``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it describes no store, or the query finds nothing.
    """
    store = _open(file)
    store.connect()
    empty = True
    try:
        for document in store.query(dict(query), load=True):
            empty = False
            source = f"{document.get('name') or 'job'} {str(document.get('uuid'))[:8]}"
            output = document.get("output")
            try:
                yield from _runs(output if isinstance(output, Mapping) else {}, source)
            except (ValueError, LookupError, TypeError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                yield Refused(source, reason)
    finally:
        store.close()
    if empty:
        msg = f"the query {dict(query)} finds no document in the store of {file.name}"
        raise ValueError(msg)


def _open(file: Path) -> Any:  # noqa: ANN401  jobflow's store
    from jobflow import JobStore
    from monty.serialization import loadfn

    if not file.is_file():
        msg = f"no file of a job store at {file}"
        raise FileNotFoundError(msg)
    try:
        content = loadfn(file)
        if isinstance(content, JobStore):
            return content
        inner = content.get("JOB_STORE", content)
        return inner if isinstance(inner, JobStore) else JobStore.from_dict_spec(inner)
    except Exception as error:  # noqa: BLE001  maggma and monty raise of many kinds
        reason = " ".join(str(error).split())
        msg = f"{file} describes no job store ({type(error).__name__}: {reason:.150})"
        raise ValueError(msg) from None


def _runs(output: Mapping[str, Any], source: str) -> Iterator[Run | Refused]:
    from hea_flows.reference.vasp import is_vasp_task, read_task

    if is_vasp_task(output):
        for number, run in enumerate(read_task(output), 1):
            yield Run(
                source=source if number == 1 else f"{source}, run {number}",
                frames=run.frames,
                calculation=run.calculation,
                converged=run.converged,
                vasp=run.input,
                structure=run.calculation is not None,
                remarks=run.remarks,
                versions={"vasp": run.version} if run.version else {},
            )
    elif "forcefield_name" in output or "ase_calculator_name" in output:
        yield _of_force_field(output, source)
    else:
        yield Refused(source, "neither a VASP task nor a force-field task of atomate2")


def _of_force_field(output: Mapping[str, Any], source: str) -> Run | Refused:
    """Return the run of a force-field task, or of another ASE calculator's."""
    steps = (output.get("output") or {}).get("ionic_steps")
    if not isinstance(steps, list) or not steps:
        return Refused(source, "holds no ionic steps")
    frames = []
    for step in steps:
        given = next(
            (step[k] for k in ("mol_or_struct", "structure") if step.get(k) is not None), None
        )
        if given is None or step.get("energy") is None or step.get("forces") is None:
            return Refused(source, "an ionic step lacks its structure, energy or forces")
        structure = given if isinstance(given, Mapping) else given.as_dict()
        atoms = Atoms(
            [site["species"][0]["element"] for site in structure["sites"]],
            scaled_positions=[site["abc"] for site in structure["sites"]],
            cell=structure["lattice"]["matrix"],
            pbc=True,
        )
        results: dict[str, Any] = {"energy": float(step["energy"])}
        results["forces"] = np.array(step["forces"], dtype=float)
        if step.get("stress") is not None:
            # atomate2 keeps kB with VASP's sign.
            sigma = -0.1 * GPa * np.array(step["stress"], dtype=float)
            results["stress"] = sigma[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        if step.get("magmoms") is not None:
            results["magmoms"] = np.array(step["magmoms"], dtype=float)
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    asked = output.get("input") or {}
    relaxes = (asked.get("steps") or 0) > 1
    name = str(output.get("forcefield_name") or output.get("ase_calculator_name"))
    version = output.get("forcefield_version")
    rule = {"code": "force field", "name": name, "version": version, "energy": "of the force field"}
    return Run(
        source=source,
        frames=frames,
        calculation="relax" if relaxes else "static",
        converged=bool(output.get("is_force_converged")) if relaxes else True,
        rule=rule,
        versions={name: str(version)} if version else {},
    )

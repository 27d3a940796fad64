"""Label a set of structures with a reference engine, in this process and without a database.

python workflows/label_with_engine.py "1(1)+2(2)"
python workflows/label_with_engine.py "1(1)[Mo]" --engine gpaw --option fmax=0.05
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows.config import LabelSpec
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.results.store import documents
from hea_flows.runtime.extxyz import write_frames
from hea_flows.schemas import AlloySpec


def main(
    expression: Annotated[str, typer.Argument(help="Set of structures.")] = "1(1)+2(2)",
    elements: Annotated[str, typer.Option(help="Alloyed elements.")] = "Mo,Ta,Nb,W,V",
    engine: Annotated[str, typer.Option(help="Reference engine: archive, gpaw, …")] = "archive",
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the engine, as in fmax=0.05; repeatable.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the frames here (extxyz).")] = None,
) -> None:
    """Label a set of structures with a reference engine."""
    # What `labels:` holds in a campaign file. Options are the fields of the engine's Maker.
    pairs = [o.partition("=") for o in option or []]
    options = {key: yaml.safe_load(value) for key, _, value in pairs}
    maker = LabellingMaker.from_spec(LabelSpec(engine=engine, options=options), seed=0)

    # One job builds the set, one fans out, and each structure is labelled in a job of its own.
    flow = maker.make(expression, AlloySpec(elements=tuple(elements.split(","))))
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, ensure_success=True, log=False)

    # A structure that cannot be labelled is a document too; its state and reason say why.
    labels: list[Any] = documents(store, "label", load=True)
    for label in labels:
        energy = "" if label.energy is None else f"{label.energy:.6f} eV"
        name = label.structure.formula
        print(name, label.state, f"{label.n_frames} frames", energy, label.reason or "")
    if output is not None:
        labelled = [d for d in labels if d.trajectory is not None]
        write_frames(
            output,
            [
                frame
                for d in labelled
                for frame in d.trajectory.to_frames(
                    structure_id=d.structure.structure_id, settings_id=d.settings_id
                )
            ],
        )
        print(f"written: {output}")


if __name__ == "__main__":
    typer.run(main)

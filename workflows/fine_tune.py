"""Fine-tune a potential on the labels of an archive and keep the model file.

python workflows/fine_tune.py --epochs 5
python workflows/fine_tune.py --model mace --output mace.pt      # from scratch
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from jobflow import Flow, JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows.config import LabelSpec, model_from_text
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.jobs.learning.dataset import DatasetMaker
from hea_flows.jobs.learning.train import TrainMaker
from hea_flows.results.store import documents
from hea_flows.schemas import AlloySpec, ModelSpec, TrainingSettings


def main(
    expression: Annotated[str, typer.Argument(help="Set to train on.")] = "1(1)+2(2)",
    elements: Annotated[str, typer.Option(help="Alloyed elements.")] = "Mo,Ta,Nb,W,V",
    dataset: Annotated[str, typer.Option(help="Archive: shipped name, or path of a card.")] = (
        "pbe-mo-ta-nb-w-v-s2"
    ),
    model: Annotated[
        str, typer.Option(help="family:name fine-tunes a foundation, a family starts from scratch.")
    ] = "chgnet:0.3.0",
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of the training.")] = 0,
    output: Annotated[Path, typer.Option(help="Checkpoint to write.")] = Path("model.pt"),
) -> None:
    """Fine-tune a potential on the labels of an archive and keep the model file."""
    alloy = AlloySpec(elements=tuple(elements.split(",")))
    spec = LabelSpec(engine="archive", options={"dataset": dataset})

    # Makers are composed by passing the output of one to the next.
    labelling: Any = LabellingMaker.from_spec(spec, seed).make(expression, alloy)
    data: Any = DatasetMaker(seed=seed).make(alloy, [labelling.output["labels"]])
    train: Any = TrainMaker(
        model=ModelSpec.model_validate(model_from_text(model)),
        training=TrainingSettings(epochs=epochs, seed=seed),
    ).make(data.output)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(Flow([labelling, data, train]), store=store, ensure_success=True, log=False)

    # load=True reads the model file too, which lies in the store's second part, `data`.
    result: Any = documents(store, "training", load=True)[-1]
    for epoch in result.curve:
        print(
            f"epoch {epoch.epoch}: validation {epoch.validation_energy_mev:.2f} meV/atom, "
            f"{epoch.validation_forces_mev:.1f} meV/Å"
        )
    for split, error in result.errors.items():
        print(f"{split}: {error.n_frames} frames, {error.energy_mev:.2f} meV/atom")
    # read() compares the checksum: what is written is what was trained.
    output.write_bytes(result.model_file.read())
    print(f"written: {output}, epoch {result.best_epoch}, sha256 {result.model_file.sha256}")


if __name__ == "__main__":
    typer.run(main)

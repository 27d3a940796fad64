"""How a model is trained, loss weights and defaults included, and what each epoch records."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hea_flows.inputs import Computed, Name, Number, Seed, Whole
from hea_flows.schemas.record import Record


class _Method(Record):
    kind: str

    def model_post_init(self, _: object) -> None:
        """Let `kind` be written where defaults are left out: it says which record it is."""
        self.model_fields_set.add("kind")

    @property
    def label(self) -> str:
        """What a family that has this method lists."""
        return self.kind


class AllWeights(_Method):
    """Every weight is trained."""

    kind: Literal["all"] = "all"


class Frozen(_Method):
    """Weights up to a part of the network stay the parent's, bit by bit."""

    kind: Literal["frozen"] = "frozen"
    through: Literal["embedding", "interactions", "products"] = Field(
        "interactions",
        description="Last part that stays: MACE's --freeze 1, 5 or 6. CHGNet has no products.",
    )

    @property
    def label(self) -> str:
        """What a family that has this method lists."""
        return f"{self.kind} {self.through}"


class LoRA(_Method):
    """Low-rank additions to the linear layers are trained, and merged into them at the end."""

    kind: Literal["lora"] = "lora"
    rank: Whole = Field(4, ge=1, le=10_000)
    alpha: Number = Field(1.0, gt=0, description="Additions count alpha / rank.")


class Replay(_Method):
    """A second head learns frames of the parent's own data; the first one is kept."""

    kind: Literal["replay"] = "replay"
    file: str = Field(description="Extended XYZ with energies on the parent's zero.")
    sha256: str | None = Field(None, description="Of the file; recorded if not given.")
    frames: Whole = Field(100, ge=1, description="Frames that are drawn from the file.")
    weight: Number = Field(1.0, gt=0, description="Of a replay frame's loss beside a frame's.")
    seed: Seed = Field(0, description="Of the draw.")


def _short(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


#: A method by its fields, or by its name alone.
Method = Annotated[
    Annotated[AllWeights | Frozen | LoRA | Replay, Field(discriminator="kind")],
    BeforeValidator(_short),
]

#: ``fit``: reference minus parent, fitted on the training frames. ``none``: nothing. Or eV/atom.
Offsets = Literal["fit", "none"] | dict[Name, Number]


class LossWeights(Record):
    """Weights of the squared errors in eV/atom, eV/Å and eV/Å³ (SCIENCE §4)."""

    energy: Number = Field(100.0, ge=0)
    forces: Number = Field(10.0, ge=0)
    stress: Number = Field(1.0, ge=0)


class TrainingSettings(Record):
    """How a model is trained; the same for every family.

    What is None follows from the number of training frames, see `potentials.training.schedule`.
    """

    epochs: Whole | None = Field(
        None, ge=1, le=1_000_000, description="Default: about 4000 steps, 20 to 200."
    )
    batch_size: Whole | None = Field(
        None, ge=1, description="Frames per step; default √frames / 2 as a power of two, 2 to 32."
    )
    patience: Whole | None = Field(
        None,
        ge=0,
        description="Epochs without a better validation loss that end training; 0: none do. "
        "Default half of the epochs, at least 20.",
    )
    learning_rate: Number = Field(1e-3, gt=0, le=1)
    final_learning_rate: Number = Field(1e-5, ge=0, le=1, description="End of the cosine schedule.")
    weights: LossWeights = Field(default_factory=LossWeights)
    final_weights: LossWeights | None = Field(
        None,
        description="Weights that the loss moves to as the learning rate falls; default the same.",
    )
    amsgrad: bool = True
    max_gradient_norm: Number | None = Field(10.0, gt=0)
    seed: Seed = 0
    threads: Whole | None = Field(
        None, ge=1, le=1024, description="Torch threads; default the worker's."
    )
    method: Method = Field(
        default_factory=AllWeights, description="What is trained: all, frozen, lora or replay."
    )
    offsets: Offsets = Field("fit", description="Energies per element removed before training.")

    @model_validator(mode="after")
    def _weights_move(self) -> Self:
        if self.final_weights is not None and self.final_learning_rate >= self.learning_rate:
            msg = (
                "final_weights are reached as the learning rate falls; it stays at "
                f"{self.learning_rate:g} (final_learning_rate {self.final_learning_rate:g}): lower "
                "final_learning_rate, or leave out final_weights"
            )
            raise ValueError(msg)
        return self


class ErrorSummary(Record):
    """RMSE of one split: energy (meV/atom), forces (meV/Å), stress (eV/Å³)."""

    n_frames: int
    energy_mev: Computed
    forces_mev: Computed
    stress: Computed


class Epoch(Record):
    """Losses of one epoch, and RMSE per split as in `ErrorSummary`.

    Losses have the weights that training moves to, so that those of all epochs compare.

    Those of the training frames are met on the way, each before the step it leads to; the others
    are those of the epoch's end. Without frames they are NaN.
    """

    epoch: int
    learning_rate: Computed
    train_loss: Computed
    train_energy_mev: Computed
    train_forces_mev: Computed
    train_stress: Computed
    validation_loss: Computed
    validation_energy_mev: Computed
    validation_forces_mev: Computed
    validation_stress: Computed
    test_energy_mev: Computed
    test_forces_mev: Computed
    test_stress: Computed
    seconds: Computed

"""How much of a parent a training changes, and what happens to its zero of energy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hea_flows.schemas.record import Record


class _Method(Record):
    kind: str

    def model_post_init(self, _: Any) -> None:  # noqa: ANN401
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
    rank: int = Field(4, ge=1)
    alpha: float = Field(1.0, gt=0, description="Additions count alpha / rank.")


class Replay(_Method):
    """A second head learns frames of the parent's own data; the first one is kept."""

    kind: Literal["replay"] = "replay"
    file: str = Field(description="Extended XYZ with energies on the parent's zero.")
    sha256: str | None = Field(None, description="Of the file; recorded if not given.")
    frames: int = Field(100, ge=1, description="Frames that are drawn from the file.")
    weight: float = Field(1.0, gt=0, description="Of a replay frame's loss beside a frame's.")
    seed: int = Field(0, ge=0, description="Of the draw.")


def _short(value: Any) -> Any:  # noqa: ANN401
    return {"kind": value} if isinstance(value, str) else value


#: A method by its fields, or by its name alone.
Method = Annotated[
    Annotated[AllWeights | Frozen | LoRA | Replay, Field(discriminator="kind")],
    BeforeValidator(_short),
]

#: ``fit``: reference minus parent, fitted on the training frames. ``none``: nothing. Or eV/atom.
Offsets = Literal["fit", "none"] | dict[str, float]

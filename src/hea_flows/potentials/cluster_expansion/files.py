"""Files of cluster expansions: plain data, from which icet's cluster space is built again."""

from __future__ import annotations

import torch

from hea_flows.alloy.clusters import HostExpansion
from hea_flows.inputs import shown
from hea_flows.potentials import model_files
from hea_flows.potentials.model_files import Checkpoint, ModelFile, ModelFileError
from hea_flows.schemas import AlloySpec

FAMILY = "cluster-expansion"
#: Largest cutoffs of pairs, triplets and quadruplets, in distances of nearest alloyed sites.
MOST = (10.0, 5.0, 3.0)


def to_checkpoint(expansion: HostExpansion) -> Checkpoint:
    """Return what a model file holds."""
    host = AlloySpec.of(expansion.alloy)
    return Checkpoint(
        FAMILY,
        {"alloy": host.model_dump(mode="json"), "cutoffs": list(expansion.cutoffs)},
        {"parameters": torch.from_numpy(expansion.parameters)},
    )


def read_expansion(file: ModelFile) -> HostExpansion:
    """Return the expansion of a file; no code of it is run.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it has another checksum, or holds no expansion.
    """
    content = model_files.load(file.path, FAMILY, file.expected)
    try:
        alloy = AlloySpec.model_validate(content.config["alloy"]).to_alloy()
        parameters = content.state["parameters"].numpy().astype(float)
        return HostExpansion(alloy, checked_cutoffs(content.config["cutoffs"]), parameters)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        msg = f"{file.path} holds no cluster expansion: {model_files.first_line(error)}"
        raise ModelFileError(msg) from None


def checked_cutoffs(value: object) -> tuple[float, ...]:
    """Return cutoffs that somebody gave, in distances of nearest alloyed sites.

    Raises
    ------
    ValueError
        If they are none, too many or too large.
    """
    given = list(value) if isinstance(value, list | tuple) else []
    numbers = all(isinstance(c, int | float) and not isinstance(c, bool) for c in given)
    if (
        not 1 <= len(given) <= len(MOST)
        or not numbers
        or any(not 1 <= c <= most for c, most in zip(given, MOST, strict=False))
    ):
        msg = (
            "cutoffs are those of pairs, triplets and quadruplets in distances of nearest alloyed "
            f"sites, from 1 and at most {', '.join(f'{m:g}' for m in MOST)}, for example "
            f"[2.1, 1.1]; got {shown(value)}"
        )
        raise ValueError(msg)
    return tuple(float(c) for c in given)

"""MACE foundations by name: the file in MACE's own cache, and the checksum it must have."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path

from hea_flows.engines import foundations, mace_models
from hea_flows.schemas import ModelSpec

_FAMILY = "MACE"

#: sha256 of foundations that others published and agree on. Any other one is recorded when it is
#: first used, beside the downloaded file, and compared from then on.
KNOWN: Mapping[str, str] = {
    "small": "2ddb079cee0e131eaaf6912ba581b394551ead283e95c99cfe78c605d10b5736",
    "small-0b2": "d5773bf9440e96d6eb8c598f84bd0e6369fcfa432f626a87f890e07da3c651c9",
    "medium-mpa-0": "75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638",
}


def locate(spec: ModelSpec) -> tuple[Path, str | None]:
    """Return the file that a spec means and the checksum it must have; a name may download it.

    Raises
    ------
    ValueError
        For a name that MACE does not have.
    FileNotFoundError
        If the file is not in the cache and cannot be downloaded.
    """
    if spec.path is not None:
        return Path(spec.path), spec.sha256
    theirs = mace_models.foundations_models
    if spec.name is None or spec.name not in theirs.mace_mp_urls:
        raise foundations.unknown(_FAMILY, spec.name, theirs.mace_mp_urls)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            path = Path(theirs.download_mace_mp_checkpoint(spec.name))
    except (OSError, RuntimeError) as error:
        url = theirs.mace_mp_urls[spec.name]
        raise foundations.unavailable(_FAMILY, spec.name, url, error) from None
    return path, foundations.checksum(path, spec, KNOWN.get(spec.name))

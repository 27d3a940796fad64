"""MACE foundations by name: the file in MACE's own cache, and the checksum it must have."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path

from hea_flows.engines import mace_models, model_files
from hea_flows.schemas import ModelSpec

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
    foundations = mace_models.foundations_models
    if spec.name is None or spec.name not in foundations.mace_mp_urls:
        names = ", ".join(foundations.mace_mp_urls)
        msg = f"unknown MACE model {spec.name!r}; accepted: {names}, or a path"
        raise ValueError(msg)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            path = Path(foundations.download_mace_mp_checkpoint(spec.name))
    except (OSError, RuntimeError) as error:
        msg = (
            f"MACE model {spec.name!r} is not in the cache and could not be downloaded ({error}); "
            f"get {foundations.mace_mp_urls[spec.name]} and give its path and sha256"
        )
        raise FileNotFoundError(msg) from None
    return path, _foundation_sha256(path, spec)


def _foundation_sha256(path: Path, spec: ModelSpec) -> str:
    """Return the checksum a foundation must have: promised, published, or recorded at first use."""
    record = path.with_name(f"{path.name}.sha256")
    if spec.sha256 is not None:
        return spec.sha256
    if spec.name is not None and spec.name in KNOWN:
        return KNOWN[spec.name]
    if not record.exists():
        model_files.write_bytes(record, model_files.verify(path, None).encode())
    return record.read_text().strip()

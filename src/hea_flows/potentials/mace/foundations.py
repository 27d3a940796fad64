"""MACE foundations by name: the file in MACE's own cache, and the checksum it must have."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path

from hea_flows.potentials import foundations
from hea_flows.potentials.mace import modules
from hea_flows.potentials.model_files import ModelFileError
from hea_flows.schemas import ModelSpec

_FAMILY = "mace"

#: sha256 of foundations that others published and agree on. Any other one is recorded when it is
#: first used, beside the downloaded file, and compared from then on.
CHECKSUMS: Mapping[str, str] = {
    "small": "2ddb079cee0e131eaaf6912ba581b394551ead283e95c99cfe78c605d10b5736",
    "small-0b2": "d5773bf9440e96d6eb8c598f84bd0e6369fcfa432f626a87f890e07da3c651c9",
    "medium-mpa-0": "75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638",
}
#: Names whose file holds several heads; such a file cannot be used.
SEVERAL_HEADS = frozenset({"mh-0", "mh-1"})


def names() -> list[str]:
    """Return the names of foundations that the installed MACE can download."""
    return [n for n in modules.foundations_models.mace_mp_urls if n not in SEVERAL_HEADS]


def missing(spec: ModelSpec) -> str | None:
    """Return the address of a foundation that is not in MACE's cache; None if it is there."""
    if spec.path is not None or spec.name is None:
        return None
    theirs = modules.foundations_models
    url: str = theirs.mace_mp_urls[spec.name]
    file = "".join(c for c in url.rpartition("/")[2] if c.isalnum() or c == "_")  # as MACE has it
    shipped = spec.name == "medium-mpa-0" and Path(theirs.local_model_path).is_file()
    return None if shipped or (Path(theirs.get_cache_dir()) / file).is_file() else url


def locate(spec: ModelSpec) -> tuple[Path, str | None]:
    """Return the file that a spec means and the checksum it must have; a name may download it.

    MACE keeps downloads in ``$XDG_CACHE_HOME/mace`` (``~/.cache/mace``). What it says of a licence
    becomes a warning.

    Raises
    ------
    ValueError
        For a name that MACE does not have.
    FileNotFoundError
        If the file is not in the cache and cannot be downloaded.
    ModelFileError
        If a server answered with a page in place of the model.
    """
    if spec.path is not None:
        return Path(spec.path), spec.sha256
    theirs = modules.foundations_models
    if spec.name is None or spec.name not in names():
        raise foundations.unknown(_FAMILY, spec.name, names())
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            path = Path(theirs.download_mace_mp_checkpoint(spec.name))
    except (OSError, RuntimeError) as error:
        url = theirs.mace_mp_urls[spec.name]
        raise foundations.unavailable(_FAMILY, spec.name, url, error) from None
    if "license" in printed.getvalue().lower():
        licence = next(x for x in printed.getvalue().splitlines() if "license" in x.lower())
        warnings.warn(f"{spec.name}: {licence.strip()}", stacklevel=2)
    with path.open("rb") as file:
        if file.read(1) == b"<":  # MACE looks at this after it has put the file into its cache
            msg = f"{path} is a web page, not the MACE model {spec.name!r}; remove it and try again"
            raise ModelFileError(msg)
    return path, foundations.checksum(path, spec, CHECKSUMS.get(spec.name))

"""MACE foundations by name: the file in MACE's own cache, and the checksum published for it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path

from hea_flows.potentials import foundations
from hea_flows.potentials.mace import modules
from hea_flows.potentials.model_files import ModelFile, ModelFileError
from hea_flows.schemas import ModelSpec, Promised

_FAMILY = "mace"

#: sha256 of foundations that others published and agree on, independently of each other; the
#: authors of MACE publish none. Another name is loaded with the checksum that its user gives.
CHECKSUMS: Mapping[str, Promised] = {
    name: Promised(sha256)
    for name, sha256 in (
        ("small", "2ddb079cee0e131eaaf6912ba581b394551ead283e95c99cfe78c605d10b5736"),
        ("medium", "01bfe22100139f424713cf921144e5509cbe353d67aa9fa1be9c6e1e0ed35845"),
        ("large", "f80e992b65ab8f88fdf26964511357c022e92704e4d9bcd086652635a8495b32"),
        ("small-0b", "7e3a0abcaf41e03a80e69f778e1b11b29de1cca704783dc25917a736392f8cf0"),
        ("medium-0b", "ab8baff639a8f295f3eccad3d3ccf574efb6fb63220bd52cd88664211569e521"),
        ("small-0b2", "d5773bf9440e96d6eb8c598f84bd0e6369fcfa432f626a87f890e07da3c651c9"),
        ("medium-0b2", "a90be07c8aa6623c390fcc4653d3e319c4a356f8b4a53d323f96b2012d375caf"),
        ("large-0b2", "348390e758e1c90011c7675e864850f8e9c5b3e7c217f79a2b4bad1baaa657ad"),
        ("medium-0b3", "2f2be696351ac9e94fbe01cdfb6f017679acdbd2db7645209ef55fec9826b012"),
        ("medium-mpa-0", "75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638"),
        ("small-omat-0", "0abfde07862cf1e93b8b4d03cb702f29ce9c344ff2fc4de2ec0d7166d6c113a5"),
        ("medium-omat-0", "d4b14be9afa294eebdbe31a0280b26a0fa29715771e978cbfd3ca24e0d90307a"),
        ("mace-matpes-pbe-0", "e618ad582b84239905b9c3b77ce6e9ce111b0ecd1533223a1a6aac7a696b8aa0"),
        (
            "mace-matpes-r2scan-0",
            "8f147ecffa1d06a696e5648b13b81abda9c96fda9d0fb3faba3cd3fb27d9bba9",
        ),
    )
}
#: Names under the Academic Software License, as mace-torch prints; the others are under MIT's.
_ACADEMIC = frozenset(
    {"small-omat-0", "medium-omat-0", "mace-matpes-pbe-0", "mace-matpes-r2scan-0"}
)
#: Names whose file holds several heads; such a file cannot be used.
SEVERAL_HEADS = frozenset({"mh-0", "mh-1"})


def names() -> list[str]:
    """Return the names of foundations that the installed MACE can download."""
    return [n for n in modules.foundations_models.mace_mp_urls if n not in SEVERAL_HEADS]


def licence(name: str | None) -> str | None:
    """Return the licence of a foundation."""
    if name not in names():
        return None
    return "Academic Software License" if name in _ACADEMIC else "MIT"


def missing(spec: ModelSpec) -> str | None:
    """Return the address of a foundation that is not in MACE's cache; None if it is there."""
    if spec.path is not None or spec.name is None:
        return None
    theirs = modules.foundations_models
    url: str = theirs.mace_mp_urls[spec.name]
    file = "".join(c for c in url.rpartition("/")[2] if c.isalnum() or c == "_")  # as MACE has it
    shipped = spec.name == "medium-mpa-0" and Path(theirs.local_model_path).is_file()
    return None if shipped or (Path(theirs.get_cache_dir()) / file).is_file() else url


def locate(spec: ModelSpec) -> ModelFile:
    """Return the file that a spec means, with what is promised of it; a name may download it.

    MACE keeps downloads in ``$XDG_CACHE_HOME/mace`` (``~/.cache/mace``). What it says of a licence
    becomes a warning.

    Raises
    ------
    ValueError
        For a name that MACE does not have.
    FileNotFoundError
        If the file is not in the cache and cannot be downloaded.
    ModelFileError
        If a server answered with a page in place of the model, or nobody promises a checksum.
    """
    if spec.path is not None:
        return ModelFile(spec, Path(spec.path), spec.sha256)
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
    return foundations.named(spec, path, CHECKSUMS.get(spec.name))

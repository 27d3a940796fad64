"""Figures as files; the same figure gives the same bytes."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from hea_flows.runtime import atomic_write

#: What is left out of a file because it changes with the day or the version.
_METADATA: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
FORMATS = ("svg", "pdf", "png")
_DPI = 300


def to_svg(figure: Figure) -> bytes:
    """Return a figure as SVG; the same figure gives the same bytes."""
    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "hea-flows", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def data_uri(figure: Figure) -> str:
    """Return a figure as a data URI for an HTML image."""
    return "data:image/svg+xml;base64," + base64.b64encode(to_svg(figure)).decode()


def figure_bytes(figure: Figure, form: str) -> bytes:
    """Return a figure as ``svg``, ``pdf`` or ``png`` (300 dots per inch).

    Raises
    ------
    ValueError
        For another format.
    """
    if form not in FORMATS:
        msg = f"no figures of format {form!r}; accepted: {', '.join(FORMATS)}"
        raise ValueError(msg)
    if form == "svg":
        return to_svg(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format=form, dpi=_DPI, metadata=_METADATA[form])
    return buffer.getvalue()


def write_figure(figure: Figure, folder: Path, name: str, forms: tuple[str, ...]) -> list[Path]:
    """Write ``NAME.FORMAT`` for each format into a folder, made if needed; return the files."""
    contents = {form: figure_bytes(figure, form) for form in forms}
    files = []
    for form, content in contents.items():
        files.append(folder / f"{name}.{form}")
        atomic_write(files[-1], content)
    return files

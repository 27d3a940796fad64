"""Figures of documents in one style: models, Monte Carlo, thermodynamics, phases, committees."""

from __future__ import annotations

from hea_flows.results.figures.calibration import calibration_figure
from hea_flows.results.figures.files import FORMATS, data_uri, figure_bytes, to_svg, write_figure
from hea_flows.results.figures.models import (
    GEOMETRY_WORDS,
    energy_note,
    learning_curve,
    mixing_by_composition,
    parity,
)
from hea_flows.results.figures.montecarlo import order_parameters, separation_words, shell_name
from hea_flows.results.figures.overlap import overlap_matrix
from hea_flows.results.figures.phases import phase_diagrams
from hea_flows.results.figures.style import (
    FOUNDATION,
    PALETTE,
    REFERENCE,
    TUNED,
    anion_tail,
    element_colours,
    new_figure,
    pair_marker,
    phase_name,
    plain,
    say_empty,
    styled,
    subscripts,
    violin,
)
from hea_flows.results.figures.thermodynamics import gibbs_energy, random_energies

__all__ = [
    "FORMATS",
    "FOUNDATION",
    "GEOMETRY_WORDS",
    "PALETTE",
    "REFERENCE",
    "TUNED",
    "anion_tail",
    "calibration_figure",
    "data_uri",
    "element_colours",
    "energy_note",
    "figure_bytes",
    "gibbs_energy",
    "learning_curve",
    "mixing_by_composition",
    "new_figure",
    "order_parameters",
    "overlap_matrix",
    "pair_marker",
    "parity",
    "phase_diagrams",
    "phase_name",
    "plain",
    "random_energies",
    "say_empty",
    "separation_words",
    "shell_name",
    "styled",
    "subscripts",
    "to_svg",
    "violin",
    "write_figure",
]

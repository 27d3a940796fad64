"""The panels of figures 1 to 6 in the paper's form, from the documents of campaigns."""

from __future__ import annotations

from hea_flows.results.paper.panels import PANELS, draw_panel

__all__ = ["PANELS", "draw_panel"]

"""FireWorks launchpads: ready for use, quick with many jobs, patient with the database."""

from __future__ import annotations

from hea_flows.services.launchpad.quiet import (
    LOG_LEVEL,
    QuietLaunchPad,
    load_launchpad,
    open_launchpad,
)

__all__ = ["LOG_LEVEL", "QuietLaunchPad", "load_launchpad", "open_launchpad"]

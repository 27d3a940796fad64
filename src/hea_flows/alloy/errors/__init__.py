"""How wrong a model is and how sure that is: metrics, comparison, committees, calibration."""

from __future__ import annotations

from hea_flows.alloy.errors.calibration import reliability, scale_factor
from hea_flows.alloy.errors.committee import (
    Committee,
    alarm,
    build_committee,
    committee_of,
    fit_weights,
    spread_and_error,
)
from hea_flows.alloy.errors.comparison import Verdict, better, paired, within
from hea_flows.alloy.errors.convergence import decide, recommended, step_error
from hea_flows.alloy.errors.label_time import predict_label_time
from hea_flows.alloy.errors.metrics import bias_interval, mae, mae_by_group, mae_interval
from hea_flows.alloy.errors.splits import default_fractions, split_frames

__all__ = [
    "Committee",
    "Verdict",
    "alarm",
    "better",
    "bias_interval",
    "build_committee",
    "committee_of",
    "decide",
    "default_fractions",
    "fit_weights",
    "mae",
    "mae_by_group",
    "mae_interval",
    "paired",
    "predict_label_time",
    "recommended",
    "reliability",
    "scale_factor",
    "split_frames",
    "spread_and_error",
    "step_error",
    "within",
]

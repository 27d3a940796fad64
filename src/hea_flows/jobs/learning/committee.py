"""Committee: models that differ in their seed, and whether their spread predicts the error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jobflow import Maker

from hea_flows.alloy import stream
from hea_flows.alloy.errors import Committee, alarm, reliability, scale_factor, spread_and_error
from hea_flows.jobs.failures import result_job
from hea_flows.provenance import provenance
from hea_flows.results.store import committee_on
from hea_flows.schemas import BenchmarkDoc, CommitteeDoc, CommitteeTable, Geometry


@dataclass
class CommitteeMaker(Maker):
    """Compare the spread of models, of several seeds or others, with the error of their mean.

    Parameters
    ----------
    name
        Job name.
    seed
        Seed of the bootstraps.
    alarm_mev
        Error (meV/unit) that the spread is asked to find.
    title
        The campaign's name of the committee; default that of the first model.
    """

    name: str = "committee"
    seed: int = 0
    alarm_mev: float = 5.0
    title: str = ""

    @result_job(output_schema=CommitteeDoc)
    def make(self, benchmarks: list[BenchmarkDoc | None]) -> CommitteeDoc:
        """Judge the committee of the models that were compared; None where a job failed.

        Raises
        ------
        ValueError
            For fewer than two benchmarks, or benchmarks of different test sets.
        """
        members = [b for b in benchmarks if b is not None]
        if len(members) < 2:
            msg = f"a committee needs the benchmarks of two models at least, got {len(members)}"
            raise ValueError(msg)
        first = members[0]
        if any(b.test_sets != first.test_sets for b in members):
            msg = f"the models of {self.title or first.name} were compared with different test sets"
            raise ValueError(msg)
        geometries: tuple[Geometry, ...] = ("fixed", "relaxed")
        return CommitteeDoc(
            **provenance(benchmarks=members),
            name=self.title or first.name,
            seeds=[b.seed for b in members if b.seed is not None],
            engine=first.engine,
            settings_id=first.settings_id,
            alarm_mev=self.alarm_mev,
            bootstrap_seed=self.seed,
            tables=[
                self._table(committee, test_set, geometry)
                for geometry in geometries
                for test_set in first.test_sets
                if (committee := committee_on(members, test_set, geometry)) is not None
            ],
        )

    def _table(self, committee: Committee, test_set: str, geometry: Geometry) -> CommitteeTable:
        rng = stream(self.seed, "bootstrap")
        error, spread = np.abs(committee.error), committee.spread
        large = error > self.alarm_mev
        scores: dict[str, Any] = {}
        if spread.all() and len(error) > 2 and np.ptp(spread) and np.ptp(error):
            linked, scale = spread_and_error(committee, rng), scale_factor(committee, rng)
            calibration = reliability(committee)
            scores = {
                "spearman": linked.spearman,
                "spearman_interval": linked.spearman_interval,
                "scale": scale.value,
                "scale_interval": (scale.low, scale.high),
                "miscalibration_area": calibration.area,
                "too_sure": calibration.excess,
            }
            if 0 < large.sum() < len(large):
                scores["alarm_auc"] = alarm(spread, large, rng).auc
        return CommitteeTable(
            test_set=test_set,
            geometry=geometry,
            n=len(error),
            n_dropped=committee.n_dropped,
            mixing_mae_mev=float(error.mean()),
            spread_mev=float(np.sqrt((spread**2).mean())),
            **scores,
        )

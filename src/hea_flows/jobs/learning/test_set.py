"""Test set: labelled structures that models are compared with."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Maker

from hea_flows.jobs.failures import result_job
from hea_flows.jobs.inputs import unreadable_inputs
from hea_flows.jobs.labelling.collect import collect, end_points, labels_checksum, require_one_rule
from hea_flows.provenance import provenance
from hea_flows.schemas import AlloySpec, LabelDoc, StructuresDoc, TestSetDoc, Trajectory


@dataclass
class TestSetMaker(Maker):
    """Collect the first and the last labelled frame of structures that models are compared with.

    Parameters
    ----------
    name
        Job name.
    test_set
        Name of the test set.
    relaxed
        Whether models relax the structures too.
    """

    name: str = "test set"
    test_set: str = "held-out"
    relaxed: bool = True

    @result_job(data=TestSetDoc.in_store(), output_schema=TestSetDoc)
    def make(
        self,
        alloy: AlloySpec,
        labels: list[list[LabelDoc | None]],
        structures: list[StructuresDoc],
    ) -> TestSetDoc:
        """Collect the structures of sets, and the end points, from label documents.

        Structures without a usable label are named with their reason, even if there is no other.

        Parameters
        ----------
        alloy
            The host.
        labels
            Documents by set, among them the end points'; None where a job left none.
        structures
            The sets that the test set holds.

        Raises
        ------
        ValueError
            If settings are mixed, or an end point has no label.
        """
        collected = collect(labels, structures, unreadable_inputs())
        pool = collect(labels, None).labels
        ends = end_points(alloy, pool)
        used = {k: pool[k] for k in ends.values()} | collected.labels
        first = require_one_rule(used)
        return TestSetDoc(
            **provenance(labels=list(used.values()), structures=structures),
            name=self.test_set,
            expressions=[doc.expression for doc in structures],
            alloy=alloy,
            engine=first.engine,
            settings_id=first.settings_id,
            settings=first.settings,
            members=list(collected.labels),
            end_points=ends,
            excluded=collected.excluded,
            trajectories={
                k: _ends(v.trajectory) for k, v in used.items() if v.trajectory is not None
            },
            labels={k: v.uuid for k, v in used.items()},
            structures={k: v.structure for k, v in used.items()},
            converged={k: v.state == "converged" for k, v in used.items()},
            calculations={k: v.calculation for k, v in used.items()},
            relaxed=self.relaxed,
            checksum=labels_checksum(used),
        )


def _ends(trajectory: Trajectory) -> Trajectory:
    """Return the first and the last frame, or the one that there is."""
    frames = trajectory.to_frames()
    return Trajectory.from_frames([frames[0], frames[-1]] if len(frames) > 1 else frames)

from __future__ import annotations

from pathlib import Path

import pytest

from hea_flows.config import Campaign
from hea_flows.jobs.labelling import estimate as module
from hea_flows.jobs.labelling.estimate import SetEstimate, estimate, hours, memory_warning
from hea_flows.reference.cost import LabelCost


def labels(*hours: float) -> list[LabelCost]:
    return [LabelCost(19, False, 4, 3600 * h, 0.3) for h in hours]


def test_hours_of_workers_that_take_labels_in_their_order() -> None:
    costs = labels(1, 2, 3, 4)
    assert hours(costs, 1) == pytest.approx(10)
    assert hours(costs, 2) == pytest.approx(6)  # 1 + 3 and 2 + 4
    assert hours(costs, 3) == pytest.approx(5)  # 1 + 4, 2 and 3
    assert hours(costs, 9) == pytest.approx(4)
    assert hours([], 2) == 0


def test_memory_of_workers_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        total = 8.0e9

    monkeypatch.setattr(module.psutil, "virtual_memory", Memory)
    sets = [
        SetEstimate("1(1)", "training", "gpaw", [3], labels(1), 0.3),
        SetEstimate("2(2)", "training", "vasp", [6], None, None),
        SetEstimate("3(3)", "training", "gpaw", [9], labels(1), 2.3),
    ]
    assert memory_warning(sets, 3) is None
    assert memory_warning(sets, 4) == (
        "4 workers with labels of 2.3 GB each need 9.2 GB, this machine has 8.0 GB; 3 fit"
    )
    assert memory_warning(sets[1:2], 1000) is None


@pytest.mark.usefixtures("machine")
def test_sets_of_a_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gpaw", reason="GPAW is not installed, see docs/gpaw.md")
    campaign = Campaign.model_validate(
        {
            "name": "test",
            "seed": 3,
            "alloy": {"elements": ["Mo", "Ta", "Nb", "V"]},
            "labels": {"engine": "gpaw", "options": {"max_steps": 2}},
            "structures": [
                {"set": "1(1)+2(2)"},
                {
                    "set": "random(2x2, n=2, components=2)",
                    "use": "held-out",
                    "labels": {
                        "engine": "gpaw",
                        "options": {"calculation": "static"},
                        "start": {"model": "chgnet:0.3.0", "rattle": 0.02},
                    },
                },
                {"set": "3(3)", "labels": {"engine": "archive"}},
            ],
        }
    )
    relaxed, static, archived = estimate(campaign)
    assert relaxed.atoms == [3] * 4 + [6] * 6
    assert relaxed.costs is not None
    assert [cost.steps for cost in relaxed.costs] == [3] * 10
    assert [cost.k_points for cost in relaxed.costs] == [19] * 4 + [25] * 6
    assert sum(cost.spin_polarised for cost in relaxed.costs) == 4
    assert relaxed.gigabytes == pytest.approx(max(c.gigabytes for c in relaxed.costs) + 0.15)

    assert (static.expression, static.use) == ("random(2x2, n=2, components=2)", "held-out")
    assert static.costs is not None
    assert len(static.costs) == len(static.atoms)
    assert {(cost.k_points, cost.steps) for cost in static.costs} == {(20, 1)}
    assert static.gigabytes == pytest.approx(max(c.gigabytes for c in static.costs) + 0.4)

    assert (archived.engine, archived.costs, archived.gigabytes) == ("archive", None, None)
    assert archived.atoms == [9] * 12

    # In processes of their own, labels do not share memory with a worker.
    monkeypatch.setenv("HEA_FLOWS_GPAW_COMMAND", "mpiexec -n 4 gpaw python")
    again = estimate(campaign)[1]
    assert again.costs == static.costs
    assert again.gigabytes == pytest.approx(max(c.gigabytes for c in static.costs))


@pytest.mark.usefixtures("machine")
def test_a_wrong_option_is_told(tmp_path: Path) -> None:
    campaign = Campaign.model_validate(
        {
            "name": "test",
            "alloy": {"elements": ["Mo"]},
            "labels": {"engine": "archive", "options": {"fmx": 2}},
            "structures": [{"set": "1(1)"}],
        }
    )
    with pytest.raises(ValueError, match="engine 'archive' has no option fmx"):
        estimate(campaign)

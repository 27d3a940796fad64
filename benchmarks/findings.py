"""The paper's findings as hypotheses: held or not held, with the figures behind each.

    hea-flows run studies/cross-database
    hea-flows run studies/binary
    python benchmarks/findings.py cross-database binary

Reads the benchmarks of campaigns from the database. Models and test sets go by the names that
`configs/studies` gives them; a hypothesis whose models are missing says so. "Better" and "alike"
mean that the whole 95 % interval of the difference of mean absolute errors agrees (bootstrap over
seeds and structures, `hea_flows.alloy.errors.comparison`), so "not held" is not the opposite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import typer

from hea_flows.alloy.errors import Verdict, better, paired, within
from hea_flows.results.store import documents
from hea_flows.schemas import BenchmarkDoc, ParityPoint
from hea_flows.services.connection import find_connection

Geometry = Literal["fixed", "relaxed"]
#: Models "alike" differ by less than this (meV/unit).
TOLERANCE = 1.0
ENUMERATED = [f"Model {n}" for n in (1, 2, 4, 8, 16)]
RANDOM = ["R1", "R2", "R3"]


class MissingError(LookupError):
    """A hypothesis needs a model or test set that no benchmark holds."""


@dataclass
class Benchmarks:
    """Benchmarks of one geometry by the names of their models."""

    geometry: Geometry
    models: dict[str, list[BenchmarkDoc]] = field(default_factory=dict)

    def named(self, model: str) -> list[BenchmarkDoc]:
        """Return the benchmarks of a model, all draws of its set included."""
        draws = [name for name in self.models if name.startswith(f"{model}, draw ")]
        return [b for name in (model, *draws) for b in self.models.get(name, [])]

    def points(
        self, model: str, test_set: str, components: int | None = None
    ) -> list[list[ParityPoint]]:
        """Return the alloyed structures of a test set, a list per seed and draw of the model."""
        found = {}
        for b in self.named(model):
            pool = b.relaxed if self.geometry == "relaxed" else b.fixed
            chosen = [
                p
                for p in pool
                if p.test_set == test_set
                and p.n_components > 1
                and components in (None, p.n_components)
            ]
            if chosen:  # a model that several campaigns share counts once
                found[b.model.sha256] = chosen
        if not found:
            msg = f"no {self.geometry} energies of {model} on {test_set}"
            raise MissingError(msg)
        return list(found.values())

    def errors(
        self, model: str, test_set: str, components: int | None = None
    ) -> list[dict[str, float]]:
        """Return mixing-energy errors (meV/unit) by structure, a table per seed."""
        return [
            {p.structure_id: p.model_mixing_mev - p.reference_mixing_mev for p in points}
            for points in self.points(model, test_set, components)
        ]

    def mae(self, model: str, test_set: str, components: int | None = None) -> float:
        """Return the mean over seeds of the mixing-energy MAE (meV/unit)."""
        tables = self.errors(model, test_set, components)
        return float(np.mean([np.mean(np.abs(list(t.values()))) for t in tables]))


@dataclass(frozen=True)
class Outcome:
    """Whether a hypothesis held, and what was seen."""

    held: bool
    figures: str


def compare(
    b: Benchmarks,
    first: str,
    second: str,
    test_set: str,
    components: int | None = None,
    tolerance: float | None = None,
) -> Outcome:
    """Compare two models on one test set: better, or alike within a tolerance."""
    pair = paired(b.errors(first, test_set, components), b.errors(second, test_set, components))
    rng = np.random.default_rng(0)
    verdict: Verdict = (
        better(pair.a, pair.b, rng) if tolerance is None else within(pair.a, pair.b, tolerance, rng)
    )
    which = f"{test_set}, {components} elements" if components else test_set
    return Outcome(
        verdict.held,
        f"{which}: {first} {b.mae(first, test_set, components):.2f}, {second} "
        f"{b.mae(second, test_set, components):.2f}, difference {verdict.difference:+.2f} "
        f"[{verdict.low:+.2f}, {verdict.high:+.2f}] meV/unit, n = {verdict.n}",
    )


def every(outcomes: list[Outcome]) -> Outcome:
    """Return the outcome of several that must all hold."""
    return Outcome(all(o.held for o in outcomes), "; ".join(o.figures for o in outcomes))


def parity_hides(b: Benchmarks) -> Outcome:
    """Foundations by name: total energies look fine, mixing energies do not."""
    names = [n for n, d in b.models.items() if d[0].role == "foundation" and d[0].model.name]
    if not names:
        msg = "no foundation"
        raise MissingError(msg)
    outcomes = []
    for name in names:
        for test_set in ("Database 1", "Database 2", "Database 3"):
            [points] = b.points(name, test_set)
            total = _r2([(p.reference_energy, p.model_energy) for p in points])
            mixing = _r2([(p.reference_mixing_mev, p.model_mixing_mev) for p in points])
            outcomes.append(
                Outcome(
                    total > 0.95 and mixing < 0.5,
                    f"{name} on {test_set}: R² total {total:.3f}, mixing {mixing:.2f}, "
                    f"MAE mixing {b.mae(name, test_set):.1f} meV/unit",
                )
            )
    return every(outcomes)


def _r2(pairs: list[tuple[float, float]]) -> float:
    x, y = np.array(pairs).T
    return float(1 - ((y - x) ** 2).sum() / ((x - x.mean()) ** 2).sum())


def binaries_fail(b: Benchmarks) -> Outcome:
    """Binaries only: errors grow with the number of elements, and ternaries repair it."""
    outcomes = []
    for model in ("Model 5", "Model 6"):
        by_n = [b.mae(model, "Database 2", n) for n in (2, 3, 4, 5)]
        text = ", ".join(f"{v:.2f}" for v in by_n)
        outcomes.append(Outcome(by_n == sorted(by_n), f"{model}, 2 to 5 elements: {text} meV/unit"))
    return every([*outcomes, compare(b, "Model 2", "Model 6", "Database 2", 5)])


def random_worst(b: Benchmarks) -> Outcome:
    """On Database 3 every random model is worse than every enumerated one."""
    found = {m: b.mae(m, "Database 3") for m in (*ENUMERATED, *RANDOM) if m in b.models}
    enumerated = [v for m, v in found.items() if m in ENUMERATED]
    drawn = [v for m, v in found.items() if m in RANDOM]
    if not enumerated or not drawn:
        msg = "enumerated and random models on Database 3"
        raise MissingError(msg)
    text = ", ".join(f"{m} {v:.2f}" for m, v in found.items())
    return Outcome(min(drawn) > max(enumerated), f"Database 3: {text} meV/unit")


def scratch_fails(b: Benchmarks) -> Outcome:
    """From scratch on Model 4's set relaxations fail, fine-tuned on the same set none does."""
    failed: dict[str, int] = {}
    for name, found in b.models.items():
        if "Model 4" in name and found[0].role != "foundation":
            tables = [t for doc in found for t in doc.tables if t.geometry == "relaxed"]
            failed[f"{name} ({found[0].role})"] = sum(t.n_failed for t in tables)
    scratch = [n for name, n in failed.items() if "from scratch)" in name]
    tuned = [n for name, n in failed.items() if "fine-tuned)" in name]
    if not scratch or not tuned:
        msg = "relaxations of Model 4 from scratch and fine-tuned"
        raise MissingError(msg)
    text = ", ".join(f"{name}: {n}" for name, n in failed.items())
    return Outcome(min(scratch) > max(tuned), f"failed relaxations: {text}")


HYPOTHESES: dict[str, Callable[[Benchmarks], Outcome]] = {
    "total-energy parity hides bad mixing energies": parity_hides,
    "2(2)+3(3) already helps alloys of 5 elements": lambda b: compare(
        b, "Model 2", "Model 1", "Database 2", 5
    ),
    "binaries only fail as the number of elements grows": binaries_fail,
    "enumerated beats random on ordered structures": lambda b: compare(
        b, "E(2,4,6)", "R(4x4)x4", "Enumerated"
    ),
    "Model 4 is close to converged": lambda b: compare(
        b, "Model 4", "Model 16", "Database 2", tolerance=TOLERANCE
    ),
    "annealed 25 % of Model 4 is about Model 2": lambda b: compare(
        b, "Model 4, 25 %", "Model 2", "Database 2", tolerance=TOLERANCE
    ),
    "quinary only (R3) is worse than Model 1 everywhere": lambda b: every(
        [compare(b, "Model 1", "R3", f"Database {n}") for n in (1, 2, 3)]
    ),
    "random models are worst on Database 3": random_worst,
    "small sets from scratch fail relaxations": scratch_fails,
}


def told(benchmarks: list[BenchmarkDoc]) -> Iterator[str]:
    """Yield a line per hypothesis and geometry."""
    for geometry in ("fixed", "relaxed"):
        found = Benchmarks(geometry)
        for b in benchmarks:
            found.models.setdefault(b.name, []).append(b)
        for claim, test in HYPOTHESES.items():
            try:
                outcome = test(found)
            except MissingError as error:
                yield f"{geometry:8}{'not tested':11}{claim}: {error}"
            else:
                word = "held" if outcome.held else "not held"
                yield f"{geometry:8}{word:11}{claim}: {outcome.figures}"


def main(
    campaigns: Annotated[list[str], typer.Argument(help="Names of campaigns in the database.")],
) -> None:
    """Print every hypothesis as held or not held."""
    found: list[Any] = []
    with find_connection(start_local=True).job_store() as store:
        for name in campaigns:
            found += documents(store, "benchmark", name)
    print(f"reference labels: {', '.join(sorted({b.engine for b in found}))}")
    for line in told(found):
        print(line)


if __name__ == "__main__":
    typer.run(main)

"""A sampler with its state on disk, time limits and lines of progress."""

from __future__ import annotations

import io
import json
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jobflow import CURRENT_JOB, Maker, Response
from numpy.typing import NDArray

from hea_flows.alloy.sampling import DecorationEnergies, PilotLadder, Sampler, effective_samples
from hea_flows.jobs.reuse import load_document
from hea_flows.potentials import RelaxedDecorations
from hea_flows.runtime import OutOfTimeError, atomic_write, clear_partial, seconds_left, too_late
from hea_flows.runtime.continuation import continue_later
from hea_flows.schemas import (
    AlloySpec,
    DatasetDoc,
    Document,
    LabelledDoc,
    ModelDoc,
    ModelSpec,
    RelaxationSummary,
    TestSetDoc,
)
from hea_flows.settings import get_settings

D = TypeVar("D", bound=Document)

#: State of a run, in the run's folder: the sampler's arrays and, as JSON, what they belong to.
STATE_FILE = "sampling.npz"

_ABOUT, _REFERENCES, _AUDITS = "about", "references", "audits"
_FORMAT = "hea-flows sampling 4"
#: Decorations along a run whose relaxation is compared with a tight one.
AUDITS = 20
#: Seconds between two writes of the state, and the smallest ratio of that to what a write takes.
EVERY, RATIO = 30.0, 20.0
#: Steps after the burn-in before effective samples are reported.
_FEW = 8


@dataclass
class SamplingRun:
    """A sampler and its state in a folder.

    A killed run continues from the last state on disk and ends with the chains of a run that was
    never killed: the state includes the generators, so repeated steps are the same.

    Parameters
    ----------
    sampler
        Sampler that has not begun.
    folder
        Folder of this run.
    identity
        What the run depends on; the state of another run is refused.
    reference
        Called once, before the first step, for the energies that averages are compared with. They
        are part of the state.
    tell
        Called with one line about the progress after every write.
    audit
        Called `AUDITS` times along the run with the decoration of a chain, each time of another;
        what it returns is part of the state. See `hea_flows.potentials.RelaxedDecorations.audit`.
    ladder
        The ladder of the sampler's temperatures, if a pilot run chose them; part of the state, see
        `stored_ladder`.
    """

    sampler: Sampler
    folder: Path
    identity: str
    reference: Callable[[], NDArray[np.float64]]
    tell: Callable[[str], None] = print
    #: Seconds that all steps so far took, those before an interruption included.
    seconds: float = 0.0
    ladder: PilotLadder | None = None
    audit: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None
    #: What `audit` returned, one row each.
    audits: list[NDArray[np.float64]] = field(default_factory=list)
    #: What `reference` returned.
    references: NDArray[np.float64] | None = None
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=20))

    @property
    def path(self) -> Path:
        """The file with the state."""
        return self.folder / STATE_FILE

    def resume(self) -> None:
        """Go back to the last state on disk, if there is one.

        Raises
        ------
        ValueError
            If it is the state of another run.
        """
        clear_partial(self.path)
        if not self.path.exists():
            return
        about = _about(self.path, self.identity)
        state = read_state(self.path)
        del state[_ABOUT]
        self.references = state.pop(_REFERENCES, None)
        self.audits = list(state.pop(_AUDITS, []))
        self.sampler.restore(state)
        self.seconds = float(about["seconds"])

    def advance(self, max_hours: float | None = None) -> bool:
        """Take steps until the end; return False if `max_hours` were over before.

        Raises
        ------
        OutOfTimeError
            If the batch job ends before another step would; the state is on disk.
        """
        if self.ladder is not None and not self.path.exists():
            self._write()
        begun = time.monotonic()
        if self.references is None:
            self.references = self.reference()
            self.seconds += time.monotonic() - begun
            self._write()
        written, pause = begun, EVERY
        while not self.sampler.finished:
            self._check_time()
            clock = time.monotonic()
            self.sampler.advance()
            if self.audit is not None and self.sampler.step * AUDITS >= self.sampler.total * (
                1 + len(self.audits)
            ):
                self.audits.append(self.audit(self.sampler.chain(len(self.audits))))
            now = time.monotonic()
            self._recent.append(now - clock)
            self.seconds += now - clock
            over = max_hours is not None and now - begun > 3600 * max_hours
            if over or now - written > pause or self.sampler.finished:
                self._write()
                written = time.monotonic()
                pause = max(EVERY, RATIO * (written - now))
            if over:
                break
        return self.sampler.finished

    def _check_time(self) -> None:
        left = seconds_left()
        usual = statistics.median(self._recent) if self._recent else 0.0
        if too_late(left, usual):
            if self._recent:
                self._write()
            msg = (
                f"{left:.0f} s are left and a step takes {usual:.0f} s; the next job goes on after "
                f"step {self.sampler.step}"
            )
            raise OutOfTimeError(msg)

    def _write(self) -> None:
        about: dict[str, Any] = {
            "format": _FORMAT,
            "identity": self.identity,
            "seconds": self.seconds,
        }
        if self.ladder is not None:
            about["ladder"] = self.ladder.model_dump()
        more = {_ABOUT: np.array(json.dumps(about))}
        if self.references is not None:
            more[_REFERENCES] = self.references
        if self.audits:
            more[_AUDITS] = np.array(self.audits)
        write_state(self.path, self.sampler.state() | more)
        self.tell(self.progress())

    def progress(self) -> str:
        """Return one line: steps, trials, acceptance, effective samples, time left."""
        sampler = self.sampler
        done = f"step {sampler.step} of {sampler.total}"
        left = (sampler.total - sampler.step) * (statistics.median(self._recent or [0.0]))
        tail = f", {timedelta(seconds=round(left))} left" if left else ""
        if self.audits:
            error = 1e3 * rms_error(self.audits)
            tail = f", relaxed energies ± {error:.2g} meV per cell{tail}"
        if sampler.step < sampler.settings.burn_in + _FEW:
            return f"{done}, burn-in{tail}"
        chains = sampler.chains()
        by_temperature: dict[float, float] = {}
        for c in chains:
            before = by_temperature.get(c.temperature, 0.0)
            by_temperature[c.temperature] = before + effective_samples(c.energies)
        trials = sum(c.trials for c in chains)
        acceptance = statistics.fmean(c.acceptance for c in chains)
        return (
            f"{done}, {trials} trials, {100 * acceptance:.0f} % of steps accepted, at least "
            f"{min(by_temperature.values()):.0f} effective samples per temperature{tail}"
        )


def rms_error(audits: Sequence[NDArray[np.float64]]) -> float:
    """Return the root mean square of the errors of relaxed energies (eV per cell)."""
    return float(np.sqrt(np.mean([row[0] ** 2 for row in audits])))


def relaxation_summary(
    energies: DecorationEnergies, audits: Sequence[NDArray[np.float64]]
) -> RelaxationSummary | None:
    """Return how good the relaxed energies of a run were; None on a fixed lattice."""
    if not isinstance(energies, RelaxedDecorations) or not audits:
        return None
    shifts = np.array(audits)[:, 1:]
    seen = {e: s[np.isfinite(s)] for e, s in zip(energies.elements, shifts.T, strict=True)}
    return RelaxationSummary(
        samples=len(audits),
        rms_error_mev=1e3 * rms_error(audits),
        largest_error_mev=1e3 * energies.error,
        shifts={e: float(s.mean()) for e, s in seen.items() if len(s)},
    )


def sample_or_continue(
    maker: Maker,
    sample: Callable[[ModelDoc | ModelSpec, LabelledDoc, AlloySpec], D | None],
    model: ModelDoc | ModelSpec | str,
    labels: DatasetDoc | TestSetDoc | str,
    alloy: AlloySpec,
) -> D | Response[D]:
    """Return a document, or the job that goes on with it where time is over before its end.

    Parameters
    ----------
    maker
        Of both jobs.
    sample
        Returns the document; None if the hours of this job were over.
    model, labels, alloy
        What `maker.make` is given; documents, or the uuids of the jobs that made them.
    """
    source = model if isinstance(model, ModelSpec) else load_document(ModelDoc, model)
    cells = load_document(LabelledDoc, labels)
    with suppress(OutOfTimeError):
        if (document := sample(source, cells, alloy)) is not None:
            return document
    again = source if isinstance(source, ModelSpec) else source.uuid
    return continue_later(maker, again, cells.uuid, alloy)


def run_folder(key: str, *, reuse: bool) -> Path:
    """Return the folder of the state of a run; without reuse, one of the current job alone."""
    folder = get_settings().data_dir / "sampling"
    if reuse or CURRENT_JOB.job is None:
        return folder / key
    return folder / f"{key}-{CURRENT_JOB.job.uuid}"


def stored_ladder(folder: Path, identity: str) -> PilotLadder | None:
    """Return the ladder of a run whose state is on disk; None if there is no state.

    Raises
    ------
    ValueError
        If it is the state of another run.
    """
    path = folder / STATE_FILE
    ladder = _about(path, identity).get("ladder") if path.exists() else None
    return None if ladder is None else PilotLadder.model_validate(ladder)


def _about(path: Path, identity: str) -> dict[str, Any]:
    """Read what a state belongs to."""
    with np.load(path, allow_pickle=False) as arrays:
        about: dict[str, Any] = json.loads(str(arrays[_ABOUT]))
    if (about.get("format"), about.get("identity")) != (_FORMAT, identity):
        msg = f"{path} belongs to a run of another model or settings; remove it first"
        raise ValueError(msg)
    return about


def write_state(path: Path, state: dict[str, NDArray[Any]]) -> None:
    """Write arrays at once or not at all.

    Raises
    ------
    ValueError
        If an array holds Python objects.
    """
    if objects := sorted(name for name, array in state.items() if array.dtype.hasobject):
        msg = f"a state holds numbers and texts only; {', '.join(objects)} are Python objects"
        raise ValueError(msg)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **state)
    atomic_write(path, buffer.getvalue())


def read_state(path: Path) -> dict[str, NDArray[Any]]:
    """Read what `write_state` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}

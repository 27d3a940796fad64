"""Sampling of many chains with an expensive model, exact for that model.

*Nested*: a block of trials is made with a cluster expansion, and the model accepts or rejects the
whole block by the difference of the two energy changes. The block is a sequence of Metropolis steps
and so is reversible for the expansion's distribution; accepting it with probability
min(1, exp(−β[ΔE_model − ΔE_CE])) samples the model's distribution, however poor the expansion
(L. D. Gelb, J. Chem. Phys. 118, 7747 (2003); R. Iftimie et al., J. Chem. Phys. 113, 4852 (2000)).
The weight of an ensemble beside exp(−βE), chemical potentials for example, is part of both
distributions and cancels in that decision. *Swaps*: one trial per step without an expansion, in the
canonical ensemble the usual Metropolis algorithm.

All temperatures, points of the ensemble and repeats take a step together, so that the model sees
one batch; then neighbours of a repeat, in temperature or point, may exchange their decorations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.clusters import (
    Clusters,
    Expansion,
    check_cutoffs,
    cluster_space,
    fit_expansion,
    neighbour_distance,
    zero_expansion,
)
from hea_flows.alloy.lattice import Alloy, bond_counts, neighbour_pairs, own_image_share
from hea_flows.alloy.sampling.chains import Chain
from hea_flows.alloy.sampling.energies import DecorationEnergies, checked_energies
from hea_flows.alloy.sampling.ensembles import Canonical, Ensemble
from hea_flows.alloy.sampling.settings import ExchangeLadder, SamplingSettings
from hea_flows.alloy.streams import stream

#: Acceptance that block lengths are adapted to. A block diffuses, so its best acceptance is near
#: that of a random walk (A. Gelman et al., Bayesian Statistics 5, 599 (1996)).
TARGET = 0.3
#: Longest block, in trials per site: enough for the expansion to forget where it began.
LONGEST = 20.0
#: Random decorations that the first expansion is fitted to, and its largest diameters of pairs and
#: triplets in distances of nearest alloyed sites.
TRAINING, CUTOFFS = 60, (3.1, 2.1)
#: Most random decorations that are tried for the start of a chain.
_ATTEMPTS = 20


def check_chains(alloy: Alloy, counts: Mapping[str, int]) -> None:
    """Raise `ValueError` if chains of a composition have nothing to swap, or no expansion fits."""
    Canonical(alloy, counts)
    check_cutoffs(alloy, _diameters(alloy, CUTOFFS))


def _diameters(alloy: Alloy, cutoffs: Sequence[float]) -> list[float]:
    """Return diameters in Å of those in distances of nearest alloyed sites."""
    return [c * neighbour_distance(alloy) for c in cutoffs]


class Sampler:
    """Chains of several temperatures, points and repeats that take their steps together.

    A state is a temperature and a point of the ensemble; the points of the lowest temperature come
    first.

    Parameters
    ----------
    model
        Energies of decorations; an infinite one forbids its decoration.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    ensemble
        What the chains may change, at one point or several.
    settings
        Temperatures, repeats, method and length of the chains; temperatures that a pilot run has
        yet to choose are refused.
    seed
        Every chain and the exchanges have generators of their own, spawned from it.
    training, cutoffs
        Random decorations that the first expansion is fitted to, and the largest diameters of its
        pairs, triplets, … in distances of nearest alloyed sites.

    Raises
    ------
    ValueError
        If the ensemble is not one of the supercell.
    TypeError
        If the temperatures are an `ExchangeLadder`.
    ArithmeticError
        If the model returns an energy that is not a number, or finds no decoration to start from.
    """

    def __init__(
        self,
        model: DecorationEnergies,
        alloy: Alloy,
        supercell: ArrayLike,
        ensemble: Ensemble,
        settings: SamplingSettings,
        seed: int,
        *,
        training: int = TRAINING,
        cutoffs: Sequence[float] = CUTOFFS,
    ) -> None:
        if isinstance(settings.temperatures, ExchangeLadder):
            msg = f"the temperatures of {settings.temperatures} are not chosen yet"
            raise TypeError(msg)
        self.model, self.alloy, self.settings = model, alloy, settings
        self.training = training
        space = cluster_space(alloy, _diameters(alloy, cutoffs))
        self.clusters = Clusters.of(space, alloy, supercell)
        ensemble.check(self.clusters.n_sites)
        self.ensemble = ensemble
        self._pairs = {s: neighbour_pairs(alloy, supercell, s) for s in settings.shells}
        temperatures = np.sort(np.array(settings.temperatures, dtype=float))
        self._neighbours = _neighbours(len(temperatures), ensemble.n_points)
        #: Temperature (K) and point of each state.
        self.temperatures = np.repeat(temperatures, ensemble.n_points)
        self.points = np.tile(np.arange(ensemble.n_points), len(temperatures))
        self._beta = 1.0 / (kB * self.temperatures)
        shape: tuple[int, int] = (len(self.temperatures), settings.runs)
        self._rngs = {place: stream(seed, "chain", *place) for place in np.ndindex(*shape)}
        self._exchanges, self._random = stream(seed, "exchanges"), stream(seed, "training cells")
        #: The cluster expansion that proposes, one for all states.
        self.expansion = zero_expansion(self.clusters)
        self._log_block = np.zeros(shape[0])
        self._codes = np.zeros((*shape, self.clusters.n_sites), dtype=np.int64)
        self._initial = self._codes.copy()
        self._energies = np.full(shape, np.nan)
        #: Steps done, those of the burn-in included.
        self.step = 0
        #: Energies that the model was asked for.
        self.evaluations = 0
        #: How many of them were infinite: decorations that no chain may have.
        self.forbidden = 0
        self._fitted_codes: list[NDArray[np.int64]] = []
        self._fitted_energies: list[NDArray[np.float64]] = []
        self._accepted = np.zeros(shape, dtype=np.int64)
        self._exchanged = np.zeros((2, *shape), dtype=np.int64)
        size = len(alloy.elements)
        self._series = np.empty((settings.steps + 1, *shape))
        self._numbers = np.empty((settings.steps + 1, *shape, size), dtype=np.int32)
        self._bonds = {
            s: np.empty((settings.steps + 1, *shape, size, size), dtype=np.int32)
            for s in settings.shells
        }
        self._started = False

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.settings.burn_in + self.settings.steps

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self._started and self.step == self.total

    @property
    def n_units(self) -> int:
        """Formula units of the supercell."""
        return self.clusters.n_sites

    @property
    def blocks(self) -> NDArray[np.int64]:
        """Trials per step of each state."""
        if self.settings.method == "swaps":
            return np.ones(len(self.temperatures), dtype=np.int64)
        return np.rint(np.exp(self._log_block)).astype(np.int64)

    @property
    def decorations(self) -> NDArray[np.int64]:
        """Species codes that the chains hold now, (states, runs, n_sites)."""
        return self._codes.copy()

    def chain(self, number: int) -> NDArray[np.int64]:
        """Return the decoration that a chain holds now, (n_sites,); chains are counted from 0."""
        runs = self.settings.runs
        codes: NDArray[np.int64] = self._codes[(number // runs) % len(self._codes), number % runs]
        return codes.copy()

    def advance(self) -> None:
        """Take one step with every chain; the first call also evaluates the start."""
        if not self._started:
            self._start()
            return
        if self.finished:
            return
        self._propose_and_decide()
        self.step += 1
        if self.step <= self.settings.burn_in:
            self._learn()
        if self.settings.exchange:
            self._exchange()
        self._record()

    def _start(self) -> None:
        for _ in range(_ATTEMPTS):
            lost = ~np.isfinite(self._energies)
            for place in zip(*np.nonzero(lost), strict=True):
                self._codes[place] = self.ensemble.draw(self.n_units, self._rngs[place])
            self._energies[lost] = self._evaluate(self._codes[lost])
            self._remember(self._codes[lost], self._energies[lost])
            if np.isfinite(self._energies).all():
                break
        else:
            msg = f"no decoration to start from: {_ATTEMPTS} random ones in a row have no energy"
            raise ArithmeticError(msg)
        self._initial = self._codes.copy()
        if self._adaptive:
            extra = range(self.training)
            drawn = np.array([self.ensemble.draw(self.n_units, self._random) for _ in extra])
            self._remember(drawn, self._evaluate(drawn))
            self._refit()
            self._log_block[:] = np.log(0.3 * self.n_units)
        self._started = True
        self._record()

    @property
    def _adaptive(self) -> bool:
        return self.settings.method == "nested"

    def _evaluate(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        self.evaluations += len(codes)
        energies = checked_energies(self.model, codes, self.alloy.elements)
        self.forbidden += int(np.isinf(energies).sum())
        return energies

    def _remember(self, codes: NDArray[np.int64], energies: NDArray[np.float64]) -> None:
        """Keep energies for the next fit."""
        if self._adaptive:
            finite = np.isfinite(energies)
            self._fitted_codes.append(codes[finite])
            self._fitted_energies.append(energies[finite] / self.n_units)

    def _propose_and_decide(self) -> None:
        shape, blocks = self._energies.shape, self.blocks
        proposed = self._codes.copy()
        expected = np.zeros(shape)
        for i, r in np.ndindex(shape):
            expected[i, r] = self.ensemble.propose(
                self.expansion.tables,
                proposed[i, r],
                int(blocks[i]),
                float(self._beta[i]),
                int(self.points[i]),
                self._rngs[i, r],
            )
        moved = (proposed != self._codes).any(axis=2)
        energies = self._energies.copy()
        if moved.any():
            energies[moved] = self._evaluate(proposed[moved])
        exponent = -self._beta[:, None] * (energies - self._energies - expected)
        chance = np.exp(np.minimum(exponent, 0.0))
        drawn = np.array([self._rngs[place].random() for place in np.ndindex(shape)])
        accept = drawn.reshape(shape) < chance
        self._codes[accept] = proposed[accept]
        self._energies = np.where(accept, energies, self._energies)
        if self.step >= self.settings.burn_in:
            self._accepted += accept
        elif self._adaptive:
            self._remember(proposed[moved], energies[moved])
            gain = 2.0 / (1.0 + self.step) ** 0.6
            self._log_block += gain * (chance.mean(axis=1) - TARGET) / TARGET
            self._log_block = np.clip(self._log_block, 0.0, np.log(LONGEST * self.n_units))

    def _learn(self) -> None:
        """Refit the expansion at steps 1, 2, 4, 8, … of the burn-in, the last after 3/4 of it."""
        last = 3 * self.settings.burn_in // 4
        if (
            self._adaptive
            and self.step <= last
            and (self.step == last or self.step & (self.step - 1) == 0)
        ):
            self._refit()
        if self.step == self.settings.burn_in:
            self._fitted_codes, self._fitted_energies = [], []

    def _refit(self) -> None:
        codes, energies = np.concatenate(self._fitted_codes), np.concatenate(self._fitted_energies)
        self.expansion = fit_expansion(self.clusters, self.clusters.vectors(codes), energies)

    def _exchange(self) -> None:
        counted = self.step > self.settings.burn_in
        for low, high in self._neighbours[self.step % len(self._neighbours)]:
            slope = self._beta[low] - self._beta[high]
            for run in range(self.settings.runs):
                gain = slope * (self._energies[low, run] - self._energies[high, run])
                gain += self._log_weight(low, high, run) + self._log_weight(high, low, run)
                gain -= self._log_weight(low, low, run) + self._log_weight(high, high, run)
                accepted = self._exchanges.random() < np.exp(min(gain, 0.0))
                if accepted:
                    pair = [low, high]
                    self._codes[pair, run] = self._codes[pair[::-1], run]
                    self._energies[pair, run] = self._energies[pair[::-1], run]
                if counted:
                    self._exchanged[:, low, run] += (1, accepted)

    def _log_weight(self, state: int, other: int, run: int) -> float:
        """Return the weight that the decoration of another state has in a state."""
        codes = self._codes[other, run]
        return self.ensemble.log_weight(codes, float(self._beta[state]), int(self.points[state]))

    def _record(self) -> None:
        row = self.step - self.settings.burn_in
        if row < 0:
            return
        if row == 0:
            self._initial = self._codes.copy()
        self._series[row] = self._energies / self.n_units
        size = len(self.alloy.elements)
        for place in np.ndindex(self._energies.shape):
            self._numbers[(row, *place)] = np.bincount(self._codes[place], minlength=size)
            for shell, pairs in self._pairs.items():
                self._bonds[shell][(row, *place)] = bond_counts(self._codes[place], pairs, size)

    def chains(self) -> list[Chain]:
        """Return what was sampled after the burn-in, lowest temperature first, then by point."""
        rows = max(self.step - self.settings.burn_in + 1, 0)
        elements = np.array(self.alloy.elements)
        blocks, chains = self.blocks, []
        for i, run in np.ndindex(self._energies.shape):
            tried, accepted = self._exchanged[:, i, run]
            steps = max(rows - 1, 0)
            chains.append(
                Chain(
                    temperature=float(self.temperatures[i]),
                    point=int(self.points[i]),
                    run=run,
                    energies=self._series[:rows, i, run].copy(),
                    numbers=self._numbers[:rows, i, run].astype(np.int64),
                    counts={s: b[:rows, i, run].astype(np.int64) for s, b in self._bonds.items()},
                    own_images={s: own_image_share(p) for s, p in self._pairs.items()},
                    initial=tuple(elements[self._initial[i, run]].tolist()),
                    final=tuple(elements[self._codes[i, run]].tolist()),
                    acceptance=float(self._accepted[i, run] / steps) if steps else float("nan"),
                    exchange_acceptance=float(accepted / tried) if tried else None,
                    block=int(blocks[i]),
                    trials=int(blocks[i]) * steps,
                )
            )
        return chains

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that `restore` needs, as arrays."""
        rows = max(self.step - self.settings.burn_in + 1, 0)
        generators = [*self._rngs.values(), self._exchanges, self._random]
        state: dict[str, NDArray[Any]] = {
            "codes": self._codes,
            "initial": self._initial,
            "energies": self._energies,
            "log_block": self._log_block,
            "parameters": self.expansion.parameters,
            "rmse": np.array(self.expansion.rmse),
            "accepted": self._accepted,
            "exchanged": self._exchanged,
            "numbers": np.array([self.step, self.evaluations, self.forbidden, int(self._started)]),
            "generators": np.array([json.dumps(g.bit_generator.state) for g in generators]),
            "series": self._series[:rows],
            "numbers by element": self._numbers[:rows],
            "fitted codes": np.concatenate(
                [np.empty((0, self.n_units), dtype=np.int64), *self._fitted_codes]
            ),
            "fitted energies": np.concatenate([np.empty(0), *self._fitted_energies]),
        }
        state |= {f"bonds {s}": b[:rows] for s, b in self._bonds.items()}
        return {name: array.copy() for name, array in state.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state of the same sampler; what follows is what followed then.

        Raises
        ------
        ValueError
            If the state is one of other temperatures, points, repeats or sites.
        """
        if state["codes"].shape != self._codes.shape:
            msg = (
                f"the state holds chains of shape {state['codes'].shape} (states, runs, "
                f"sites), this sampler {self._codes.shape}"
            )
            raise ValueError(msg)
        self._codes, self._initial = state["codes"].copy(), state["initial"].copy()
        self._energies, self._log_block = state["energies"].copy(), state["log_block"].copy()
        parameters = state["parameters"].copy()
        self.expansion = Expansion(
            parameters, self.clusters.tables(parameters), float(state["rmse"])
        )
        self._accepted, self._exchanged = state["accepted"].copy(), state["exchanged"].copy()
        numbers = (int(x) for x in state["numbers"])
        self.step, self.evaluations, self.forbidden, started = numbers
        self._started = bool(started)
        generators = [*self._rngs.values(), self._exchanges, self._random]
        for generator, text in zip(generators, state["generators"].tolist(), strict=True):
            generator.bit_generator.state = json.loads(text)
        rows = len(state["series"])
        self._series[:rows] = state["series"]
        self._numbers[:rows] = state["numbers by element"]
        for shell, bonds in self._bonds.items():
            bonds[:rows] = state[f"bonds {shell}"]
        self._fitted_codes = [state["fitted codes"].copy()]
        self._fitted_energies = [state["fitted energies"].copy()]


def _neighbours(temperatures: int, points: int) -> list[list[tuple[int, int]]]:
    """Return the pairs of states that may exchange after a step, for each of the steps in turn."""
    states = np.arange(temperatures * points).reshape(temperatures, points)
    return [
        list(zip(a[k:-1:2].ravel().tolist(), a[k + 1 :: 2].ravel().tolist(), strict=True))
        for a in ((states, states.T) if points > 1 else (states,))
        for k in (0, 1)
    ]

"""Annealed choice of training structures by the condition number of their cluster vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hea_flows.alloy.clusters import cluster_space, cluster_vectors, neighbour_distance
from hea_flows.alloy.lattice import Alloy, Ordering

#: Default cutoffs, in units of the nearest-neighbour distance: pairs of the first shells only.
#: Enumerated small cells hardly tell triplets apart, and their matrix would be singular.
SELECTION_CUTOFFS = (2.1,)
#: First and last annealing temperature, in units of ln(condition number).
TEMPERATURES = (1.0, 1e-3)
#: Default number of trial swaps: two runs on half of the diagonal set then agree to 75-80 %.
ANNEALING_STEPS = 20_000


def annealed_subset(
    alloy: Alloy,
    orderings: Sequence[Ordering],
    n: int,
    rng: np.random.Generator,
    *,
    cutoffs: Sequence[float] | None = None,
    n_steps: int = ANNEALING_STEPS,
) -> tuple[list[int], float]:
    """Choose the `n` orderings whose cluster-vector matrix is best conditioned.

    Swaps one ordering at a time under a Metropolis rule on the logarithm of the condition number,
    cooled exponentially, and returns the best subset met. The measure is that of icet's
    ``structure_selection_annealing``; the generator is explicit, and the logarithm makes one
    cooling schedule fit every set.

    Parameters
    ----------
    alloy
        Host of all orderings; their elements span the cluster space.
    orderings
        Candidates.
    n
        How many to keep.
    rng
        Source of all randomness.
    cutoffs
        Largest diameters (Å) of pairs, triplets, …; default `SELECTION_CUTOFFS` in units of the
        nearest-neighbour distance.
    n_steps
        Trial swaps.

    Returns
    -------
    indices, condition_number
        Sorted positions in `orderings`, and the condition number of their matrix, in the space
        that all candidates span.

    Raises
    ------
    ValueError
        If `n` is not between 1 and the number of candidates.
    """
    if not 1 <= n <= len(orderings):
        msg = f"cannot choose {n} of {len(orderings)} structures"
        raise ValueError(msg)
    present = [el for el in alloy.elements if any(el in o.components for o in orderings)]
    if cutoffs is None:
        cutoffs = [c * neighbour_distance(alloy) for c in SELECTION_CUTOFFS]
    full = cluster_vectors(cluster_space(alloy, cutoffs, present), orderings)
    # Directions that no candidate spans would make every subset singular: leave them out. The
    # singular values are untouched by this rotation where there are none.
    u, s, _ = np.linalg.svd(full, full_matrices=False)
    rank = int((s > s[0] * 1e-9).sum())
    vectors = u[:, :rank] * s[:rank]
    order = rng.permutation(len(orderings))
    chosen, rest = order[:n].copy(), order[n:].copy()
    current = best = np.log(np.linalg.cond(vectors[chosen]))
    best_chosen = chosen.copy()
    start, stop = TEMPERATURES
    for step in range(n_steps if len(rest) else 0):
        temperature = start * (stop / start) ** (step / n_steps)
        i, j = rng.integers(len(chosen)), rng.integers(len(rest))
        chosen[i], rest[j] = rest[j], chosen[i]
        trial = np.log(np.linalg.cond(vectors[chosen]))
        if trial <= current or rng.random() < np.exp((current - trial) / temperature):
            current = trial
            if current < best:
                best, best_chosen = current, chosen.copy()
        else:
            chosen[i], rest[j] = rest[j], chosen[i]
    return sorted(int(i) for i in best_chosen), float(np.exp(best))

"""Figure of which test sets share structures with which training sets."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from hea_flows.results.figures.style import new_figure, plain, styled

_COLOURS = LinearSegmentedColormap.from_list("overlap", ["#ffffff", "#0072B2"])


@styled
def overlap_matrix(
    test_sets: Mapping[str, AbstractSet[str]], training: Mapping[str, AbstractSet[str]]
) -> Figure:
    """Draw how many structures of each test set are in each training set.

    Each field gives the shared structures and all of the test set; its colour is their share.

    Parameters
    ----------
    test_sets
        Name to structure ids, a column each.
    training
        Name of the training set to structure ids, a row each.

    Raises
    ------
    ValueError
        If there are no test sets or no training sets.
    """
    if not test_sets or not training:
        msg = f"an overlap needs test sets and training sets; got {len(test_sets)} and "
        raise ValueError(msg + f"{len(training)}")
    shared = np.array([[len(d & s) for d in test_sets.values()] for s in training.values()])
    sizes = np.array([len(d) for d in test_sets.values()])
    shares = shared / np.maximum(sizes, 1)
    width = 1.6 + 0.075 * max(map(len, training)) + 1.35 * len(test_sets)
    height = 1.7 + 0.4 * len(training)
    note = "Structures of the test set that the training set holds, of all in the test set."
    figure = new_figure(max(4.5, width), height, note)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap=_COLOURS, vmin=0, vmax=1, aspect="auto")
    for (i, j), n in np.ndenumerate(shared):
        # 0 of 40 is what a test wants to see: grey, so that what is shared stands out.
        colour = "white" if shares[i, j] > 0.65 else "#222222" if n else "#999999"
        axes.text(j, i, f"{n} / {sizes[j]}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(test_sets)), [plain(x) for x in test_sets])
    axes.set_yticks(
        range(len(training)), [plain(f"{name} ({len(s)})") for name, s in training.items()]
    )
    axes.set(ylabel="training set (structures)")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(test_sets) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(training) + 1) - 0.5, minor=True)
    axes.grid(visible=False)
    axes.grid(visible=True, which="minor", color="#dddddd", lw=0.8)
    axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, ticks=(0, 0.5, 1))
    bar.ax.set_yticklabels(["0", "½", "all"])
    bar.outline.set_visible(False)
    return figure

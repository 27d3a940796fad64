"""All symmetry-distinct decorations of all supercells of one size."""

from __future__ import annotations

from collections.abc import Sequence

from icet.tools import enumerate_structures

from hea_flows.alloy.lattice import Alloy, Ordering, check_elements


def enumerate_orderings(
    alloy: Alloy, elements: Sequence[str], size: int, *, equimolar: bool = False
) -> list[Ordering]:
    """Return all symmetry-distinct decorations of supercells of `size` alloyed sites.

    Structures whose primitive cell is smaller are left out, so that sets of different sizes never
    overlap. The order is that of the enumeration and does not change between calls.

    Parameters
    ----------
    alloy
        The host.
    elements
        Elements that must all be present, and no others.
    size
        Alloyed sites (formula units) per supercell: primitive cells times their alloyed sites.
    equimolar
        Keep equal numbers of every element only.

    Raises
    ------
    ValueError
        If `size` cannot hold the elements (in equal numbers), or is no whole number of cells.

    Notes
    -----
    Hart and Forcade, Phys. Rev. B 77, 224115 (2008), as implemented in icet.
    """
    chosen = check_elements(alloy, elements)
    k = len(chosen)
    cells = alloy.n_cells(size)
    if size < k:
        msg = f"{size} units cannot hold {k} elements {list(chosen)}; the size must be at least {k}"
        raise ValueError(msg)
    if equimolar and size % k:
        msg = f"{size} units cannot hold {k} elements in equal numbers; use a multiple of {k}"
        raise ValueError(msg)
    # Concentrations refer to all atoms of the cell, fixed ones included.
    share = 1 / (k * alloy.atoms_per_unit)
    structures = enumerate_structures(
        alloy.primitive(),
        [cells],
        alloy.allowed_species(chosen),
        concentration_restrictions=(
            dict.fromkeys(chosen, (share - 1e-6, share + 1e-6)) if equimolar else None
        ),
    )
    return [
        Ordering.from_atoms(alloy, atoms)
        for atoms in structures
        if set(atoms.get_chemical_symbols()).issuperset(chosen)
    ]

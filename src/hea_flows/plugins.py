"""The registries of model families and of reference engines; importing them loads no engine.

Another package adds a family with an entry point of the group ``hea_flows.families``, an engine
with one of the group ``hea_flows.engines``: its name, and ``module:attribute``. A script uses
`register_family` and `register_reference_engine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any


@dataclass(frozen=True)
class Row:
    """Where an implementation is, and how to install what it needs.

    Parameters
    ----------
    target
        ``"module:attribute"``, or the class itself.
    extra
        Extra of hea-flows that brings what it needs.
    install
        How to install it where no single pip command does.
    """

    target: str | type
    extra: str | None = None
    install: str | None = None


@dataclass
class Registry:
    """Implementations by name: built in, registered here, or offered by another package.

    Parameters
    ----------
    noun
        What a row is, for messages.
    group
        Entry-point group that other packages use.
    built_in
        Rows of this package.
    registered
        Rows that this process added.
    """

    noun: str
    group: str
    built_in: Mapping[str, Row]
    registered: dict[str, Row] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return all names, installed or not."""
        return sorted(self._rows())

    def register(self, name: str, target: str | type, *, replace: bool = False) -> None:
        """Add a row in this process.

        Parameters
        ----------
        name
            What a campaign file says.
        target
            ``"module:attribute"``, or the class itself.
        replace
            Whether a row of that name may be replaced.

        Raises
        ------
        ValueError
            If the name is taken and `replace` is not set.
        """
        row = Row(target)
        if isinstance(target, str) and target.count(":") != 1:
            msg = f"{self.noun} {name!r}: the target is 'module:attribute', got {target!r}"
            raise ValueError(msg)
        if not replace and self._rows().get(name, row) != row:
            msg = f"{self.noun} {name!r} exists already; pass replace=True to replace it"
            raise ValueError(msg)
        self.registered[name] = row

    def load(self, name: str) -> Any:  # noqa: ANN401  a class or an object of any package
        """Import and return what a name stands for.

        Raises
        ------
        ValueError
            For an unknown name, or a module without the attribute.
        ModuleNotFoundError
            If its package is not installed; the message says how to install it.
        """
        rows = self._rows()
        if name not in rows:
            msg = f"unknown {self.noun} {name!r}; accepted: {', '.join(sorted(rows))}"
            raise ValueError(msg)
        row = rows[name]
        if not isinstance(row.target, str):
            return row.target
        module, _, attribute = row.target.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            missing = error.name or module
            if module == missing or module.startswith(f"{missing}."):
                msg = f"{self.noun} {name!r}: there is no module {missing!r} ({row.target})"
            else:
                what = f"hea-flows[{row.extra}]" if row.extra else missing
                how = row.install or f"pip install '{what}'"
                msg = f"{self.noun} {name!r} needs {missing}; install it: {how}"
            raise ModuleNotFoundError(msg, name=missing) from None
        except AttributeError:
            msg = f"{self.noun} {name!r}: module {module!r} has no {attribute!r}"
            raise ValueError(msg) from None

    def _rows(self) -> dict[str, Row]:
        rows = dict(self.built_in)
        for point in entry_points(group=self.group):
            if rows.setdefault(point.name, Row(point.value)) != Row(point.value):
                first = rows[point.name].target
                msg = f"{self.noun} {point.name!r} is offered twice: {first}, {point.value}"
                raise ValueError(msg)
        return rows | self.registered


FAMILIES = Registry(
    "model family",
    "hea_flows.families",
    {
        "ase": Row("hea_flows.potentials.foreign.ase_calculator:ASEFamily"),
        "chgnet": Row("hea_flows.potentials.chgnet.family:CHGNetFamily", "chgnet"),
        "cluster-expansion": Row("hea_flows.potentials.cluster_expansion:ClusterExpansionFamily"),
        "committee": Row("hea_flows.potentials.committee:CommitteeFamily"),
        "mace": Row("hea_flows.potentials.mace.family:MACEFamily", "mace"),
        "mattersim": Row(
            "hea_flows.potentials.mattersim:MatterSimFamily",
            install="see requirements/mattersim.txt (docs/models.md)",
        ),
        "nequip": Row(
            "hea_flows.potentials.foreign.nequip:NequIPFamily",
            install="in an environment without mace-torch (docs/models.md)",
        ),
        "nequix": Row("hea_flows.potentials.nequix.family:NequixFamily", "nequix"),
        "sevennet": Row(
            "hea_flows.potentials.sevennet:SevenNetFamily",
            install="pip install 'hea-flows[sevennet]' in an environment without mace-torch "
            "(docs/models.md)",
        ),
    },
)
ENGINES = Registry(
    "reference engine",
    "hea_flows.engines",
    {
        "archive": Row("hea_flows.reference.archive:ArchiveMaker"),
        "atomate2": Row("hea_flows.reference.atomate2:Atomate2Maker"),
        "gpaw": Row("hea_flows.reference.gpaw.maker:GPAWMaker", "gpaw"),
        "synthetic": Row("hea_flows.reference.synthetic:SyntheticMaker"),
        "vasp": Row("hea_flows.reference.vasp.maker:VaspMaker"),
    },
)


def register_family(name: str, target: str | type, *, replace: bool = False) -> None:
    """Add a model family in this process; see `Registry.register`."""
    FAMILIES.register(name, target, replace=replace)


def register_reference_engine(name: str, target: str | type, *, replace: bool = False) -> None:
    """Add a reference engine in this process; see `Registry.register`."""
    ENGINES.register(name, target, replace=replace)

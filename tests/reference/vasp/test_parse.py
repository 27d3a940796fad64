from __future__ import annotations

import gzip
import json
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.units import GPa
from pymatgen.io.vasp import Outcar, Vasprun

from hea_flows.reference.vasp import custodian_log
from hea_flows.reference.vasp.parse import VaspRun, read_input, read_runs

SHARED = Path(__file__).parents[4] / "shared" / "data" / "vasp" / "si_relax" / "outputs"
REACHED = " reached required accuracy - stopping structural energy minimisation\n"
STRESS = [[10, 1, 2], [3, 20, 4], [6, 8, 30]]  # kB; VASP's has a few digits of asymmetry


def number(value: Any) -> str:
    """Return a number in sixteen columns, as Fortran does: asterisks where it does not fit."""
    text = value if isinstance(value, str) else f"{value:16.8f}"
    return text if len(text) <= 16 else "*" * 16


def varray(name: str, rows: Any) -> str:
    lines = "".join(f"    <v> {' '.join(number(x) for x in row)} </v>\n" for row in rows)
    return f'   <varray name="{name}" >\n{lines}   </varray>\n'


def energy(free: Any, zero: Any) -> str:
    tags = {"e_fr_energy": free, "e_wo_entrp": 0.0, "e_0_energy": zero}
    return "".join(f'    <i name="{k}">{number(v)} </i>\n' for k, v in tags.items())


def step(
    free: float = -20.0,
    zero: float = -19.9,
    *,
    scf: int = 3,
    own_zero: float | None = None,
    forces: Any = ((0.1, 0, 0), (-0.1, 0, 0)),
    stress: Any = STRESS,
) -> str:
    """Return a <calculation>; `own_zero` is what stands in it beside the last SCF step's."""
    electrons = "".join(
        f"  <scstep>\n   <energy>\n{energy(free + 1.5 - i * 0.5, zero + 1.5 - i * 0.5)}"
        "   </energy>\n  </scstep>\n"
        for i in range(scf - 1)
    )
    # The last SCF step has what VASP adds at the end (dispersion, say) not yet in it.
    electrons += (
        f"  <scstep>\n   <energy>\n{energy(free + 0.25, zero + 0.25)}   </energy>\n  </scstep>\n"
    )
    basis = varray("basis", ((3, 0, 0), (-1.5, 2.6, 0), (0, 0, 18)))
    positions = varray("positions", ((0, 0, 0.5), (1 / 3, 2 / 3, free % 1)))
    return (
        f" <calculation>\n{electrons}  <structure>\n   <crystal>\n{basis}   </crystal>\n"
        f"{positions}  </structure>\n{varray('forces', forces)}"
        f"{varray('stress', stress) if stress is not None else ''}"
        f"  <energy>\n{energy(free, zero if own_zero is None else own_zero)}  </energy>\n"
        " </calculation>\n"
    )


def vasprun(*steps: str, symbols: Sequence[str] = ("Mo", "S")) -> str:
    atoms = "".join(f"    <rc><c>{s:<2}</c><c>   {i}</c></rc>\n" for i, s in enumerate(symbols, 1))
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n'
        '  <i name="program" type="string">vasp </i>\n'
        '  <i name="version" type="string">6.4.2  </i>\n </generator>\n <atominfo>\n'
        f'  <array name="atoms" >\n   <set>\n{atoms}   </set>\n  </array>\n </atominfo>\n'
        f"{''.join(steps)}</modeling>\n"
    )


def moments(*values: float, axis: str = "x") -> str:
    rows = "".join(f"    {i}   0.010 -0.020   {v:.3f}   {v:.3f}\n" for i, v in enumerate(values, 1))
    return (
        f" magnetization ({axis})\n \n# of ion       s       p       d       tot\n{'-' * 42}\n"
        f"{rows}{'-' * 50}\ntot         0.020 -0.040   1.000   1.000\n\n"
    )


def write(folder: Path, *, incar: str = "NELM = 100\n", outcar: str = "", xml: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "INCAR").write_text(incar)
    (folder / "KPOINTS").write_text("mesh\n0\nGamma\n12 12 1\n")
    (folder / "OUTCAR").write_text(outcar)
    (folder / "vasprun.xml").write_text(xml)
    return folder


def only(folder: Path) -> VaspRun:
    [run] = read_runs(folder)
    return run


def test_every_number_of_a_step(tmp_path: Path) -> None:
    forces = ((0.5, -0.25, 0), (-0.5, 0.25, 0.125))
    run = only(write(tmp_path, xml=vasprun(step(-20.0, -19.875, forces=forces))))
    assert (run.version, run.symbols, run.nelm, run.relaxed) == ("6.4.2", ("Mo", "S"), 100, False)
    assert run.kpoints == "mesh\n0\nGamma\n12 12 1\n"
    [found] = run.steps
    assert (found.energy, found.free_energy, found.electronic_steps) == (-19.875, -20.0, 3)
    assert found.cell.tolist() == [[3, 0, 0], [-1.5, 2.6, 0], [0, 0, 18]]
    np.testing.assert_allclose(found.positions, [[0, 0, 0.5], [1 / 3, 2 / 3, 0]], atol=1e-8)
    assert found.forces.tolist() == [list(row) for row in forces]
    # ASE counts tension positive, in the order xx, yy, zz, yz, xz, xy; 1 kB is 0.1 GPa.
    expected = -0.1 * GPa * np.array([10, 20, 30, 6, 4, 2])
    np.testing.assert_allclose(found.stress, expected, rtol=1e-12)
    assert run.sound(found)


def test_the_zero_that_vasp_writes_as_e_0_is_not_believed(tmp_path: Path) -> None:
    """VASP's forum, topic 16942: a step's own e_0_energy may be 0, or e_wo_entrp."""
    xml = vasprun(step(-20.0, -19.875, own_zero=0.0), step(-21.0, -20.875, own_zero=-21.0))
    found = only(write(tmp_path, xml=xml)).steps
    assert [s.energy for s in found] == [-19.875, -20.875]
    assert [s.free_energy for s in found] == [-20.0, -21.0]


@pytest.mark.parametrize(
    "bad",
    [
        {"forces": (("-" + "9" * 20, 0.0, 0.0), (0.0, 0.0, 0.0))},  # asterisks
        {"forces": (("NaN", 0.0, 0.0), (0.0, 0.0, 0.0))},
        {"stress": [["NaN", 0, 0], [0, 0, 0], [0, 0, 0]]},
        {"stress": None},
        {"free": float("nan")},
        {"free": -1e12},  # asterisks
    ],
)
def test_what_is_no_number_is_no_label(bad: dict[str, Any], tmp_path: Path) -> None:
    run = only(write(tmp_path, xml=vasprun(step(), step(**bad), step(-20.5))))
    assert len(run.steps) == 3
    assert [run.sound(s) for s in run.steps] == [True, False, True]
    assert [s.finite for s in run.steps] == [True, False, True]


def test_an_scf_that_ran_out_of_steps_is_no_label(tmp_path: Path) -> None:
    xml = vasprun(step(scf=3), step(scf=5), step(scf=4))
    run = only(write(tmp_path, xml=xml, incar="NELM = 5\n"))
    assert [run.sound(s) for s in run.steps] == [True, False, True]
    assert only(write(tmp_path, xml=vasprun(step(scf=60)), incar="")).nelm == 60  # VASP's default
    assert not any(run.sound(s) for s in only(tmp_path).steps if s.electronic_steps < 60)


def test_moments_belong_to_their_steps(tmp_path: Path) -> None:
    xml = vasprun(step(-20), step(-21))
    told = moments(1.25, -0.5) + "forces\n" + moments(0.75, 0.0)
    again = moments(0.7, 0.1)  # once more at the end, from other projections
    run = only(write(tmp_path, xml=xml, outcar=told + REACHED + again))
    assert run.moments is not None
    assert np.array(run.moments).tolist() == [[1.25, -0.5], [0.75, 0.0]]
    assert run.relaxed
    # A step whose table is missing or cut would get another step's.
    assert only(write(tmp_path, xml=xml, outcar=moments(1.25, -0.5))).moments is None
    cut = told[: told.rindex("0.750")]
    assert only(write(tmp_path, xml=xml, outcar=cut)).moments is None
    assert not only(tmp_path).relaxed


def test_a_table_that_is_not_whole_shifts_no_others(tmp_path: Path) -> None:
    xml = vasprun(step(-20), step(-21))
    whole = moments(1.0, 2.0) + moments(3.0, 4.0) + moments(5.0, 6.0)
    for value in ("1.000", "2.000", "3.000"):  # a number that does not fit its column
        outcar = whole.replace(f"   {value}\n", "********\n")
        assert outcar != whole
        assert only(write(tmp_path, xml=xml, outcar=outcar)).moments is None


@pytest.mark.parametrize("incar", ["LSORBIT = .TRUE.\n", "LNONCOLLINEAR = T\n", ""])
def test_moments_with_spin_orbit_coupling_are_vectors(tmp_path: Path, incar: str) -> None:
    """The table along x alone, taken for the moments, would be one component of them."""
    xml = vasprun(step(-20), step(-21))

    def tables(x: float) -> str:
        parts = ((x, 0.5), (0.25, -0.5), (3.0, x / 2))
        return "".join(moments(*p, axis=a) for p, a in zip(parts, "xyz", strict=True)) + "forces\n"

    outcar = tables(0.125) + tables(-0.25)
    run = only(write(tmp_path, xml=xml, incar=incar, outcar=outcar + tables(0.1)))
    assert run.moments is not None
    assert np.array(run.moments).tolist() == [
        [[0.125, 0.25, 3.0], [0.5, -0.5, 0.062]],
        [[-0.25, 0.25, 3.0], [0.5, -0.5, -0.125]],
    ]
    for cut in (outcar[: outcar.rindex("magnetization (z)")], moments(0.125, 0.5) * 2):
        if incar or "(y)" in cut:
            assert only(write(tmp_path, xml=xml, incar=incar, outcar=cut)).moments is None


def test_nothing_was_written_yet(tmp_path: Path) -> None:
    run = only(tmp_path)
    assert (run.incar, run.kpoints, run.symbols, run.steps) == ({}, "", (), ())
    run = only(write(tmp_path))  # empty files
    assert (run.symbols, run.steps, run.moments) == ((), (), None)


def test_compressed_files_are_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path / "a", xml=vasprun(step()), outcar=moments(1.0, 0.0) + REACHED)
    packed = tmp_path / "b"
    packed.mkdir()
    for path in plain.iterdir():
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    one, other = only(plain), only(packed)
    assert one.incar == other.incar
    assert one.relaxed
    assert other.relaxed
    np.testing.assert_array_equal(one.moments, other.moments)
    assert one.steps[0].energy == other.steps[0].energy


def test_runs_are_in_the_order_in_which_custodian_corrected_them(tmp_path: Path) -> None:
    folder = tmp_path / "attempt"
    for i in range(1, 12):  # ten after nine, not after one
        source = write(tmp_path / "source", xml=vasprun(step(-20.0 - i)), incar=f"NELM = {50 + i}")
        folder.mkdir(exist_ok=True)
        with tarfile.open(folder / f"error.{i}.tar.gz", "w:gz") as archive:
            # custodian's archives hold a folder
            archive.add(source, arcname=f"error.{i}")
    write(folder, xml=vasprun(step(-40.0)), incar="NELM = 99")
    runs = read_runs(folder)
    assert [run.nelm for run in runs] == [*range(51, 62), 99]
    assert [run.steps[0].free_energy for run in runs] == [*np.arange(-21.0, -32.0, -1), -40.0]


def test_an_archive_that_custodian_was_killed_in_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "attempt", xml=vasprun(step(-40.0)))
    source = write(tmp_path / "source", xml=vasprun(step(-21.0)))
    for i in (1, 2):
        with tarfile.open(folder / f"error.{i}.tar.gz", "w:gz") as archive:
            archive.add(source, arcname=f"error.{i}")
    cut = folder / "error.2.tar.gz"
    content = cut.read_bytes()
    for size in range(0, len(content), 37):
        cut.write_bytes(content[:size])
        found = [run.steps[0].free_energy for run in read_runs(folder)]
        # Without its last bytes, which hold nothing, an archive is whole.
        assert found == [-21.0, -40.0] or (found == [-21.0] * 2 + [-40.0] and size > 500), size
    cut.write_bytes(content[: len(content) // 2])
    assert [run.steps[0].free_energy for run in read_runs(folder)] == [-21.0, -40.0]


def test_a_file_cut_anywhere_gives_its_whole_steps(tmp_path: Path) -> None:
    text = vasprun(step(-20), step(-21), step(-22))
    ends = [i + len("</calculation>") for i in range(len(text)) if text[i:].startswith("</calc")]
    for end in sorted({*range(0, len(text), 97), *ends, *(e - 1 for e in ends)}):
        found = only(write(tmp_path, xml=text[:end])).steps
        assert [s.free_energy for s in found] == [-20.0, -21.0, -22.0][
            : sum(e <= end for e in ends)
        ]


def test_a_compressed_file_cut_anywhere_gives_what_was_before_the_cut(tmp_path: Path) -> None:
    text = vasprun(step(-20), step(-21), step(-22, forces=((0.123, 0, 0), (-0.123, 0, 0)))).encode()
    packed = gzip.compress(text)
    write(tmp_path)
    (tmp_path / "vasprun.xml").unlink()
    counts = []
    for size in range(len(packed)):
        (tmp_path / "vasprun.xml.gz").write_bytes(packed[:size])
        whole = zlib.decompressobj(wbits=31).decompress(packed[:size]).count(b"</calculation>")
        found = only(tmp_path).steps
        assert [s.free_energy for s in found] == [-20.0, -21.0, -22.0][:whole]
        counts.append(whole)
    assert set(counts) == {0, 1, 2, 3}
    (tmp_path / "vasprun.xml.gz").write_bytes(packed[:400] + bytes(100) + packed[500:])  # damaged
    assert len(only(tmp_path).steps) <= 3


def test_every_file_of_a_run_may_be_cut(tmp_path: Path) -> None:
    plain = write(tmp_path / "a", incar="NELM = 100\nEDIFF = 1e-06\n", outcar=REACHED * 9)
    for name in ("INCAR", "KPOINTS"):
        (plain / f"{name}.orig").write_bytes((plain / name).read_bytes())
    (plain / "custodian.json").write_text(json.dumps([{"corrections": [], "max_errors": True}]))
    packed = {p.name: gzip.compress(p.read_bytes()) for p in plain.iterdir() if p.stat().st_size}
    folder = tmp_path / "b"
    folder.mkdir()
    for cut, whole in packed.items():
        for name, content in packed.items():
            (folder / f"{name}.gz").write_bytes(content)
        assert only(folder).incar == read_input(folder).incar == {"NELM": 100, "EDIFF": 1e-6}
        for size in range(1, len(whole)):
            (folder / f"{cut}.gz").write_bytes(whole[:size])
            run, given = only(folder), read_input(folder)
            # Half of an input is another calculation's; half of an output is some of its steps.
            assert bool(run.incar) == bool(run.kpoints) == (cut not in {"INCAR", "KPOINTS"})
            assert (given is None) == cut.endswith(".orig")
            assert run.relaxed or cut == "OUTCAR"
            assert custodian_log.gave_up(folder) or cut == "custodian.json"


# -- files of a real VASP 5.4.1 --------------------------------------------------------------------

real = pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data beside the checkout")


@real
def test_a_real_relaxation_is_read_as_pymatgen_and_ase_do() -> None:
    run = only(SHARED)
    theirs = Vasprun(SHARED / "vasprun.xml.gz")
    frames = ase.io.read(SHARED / "vasprun.xml.gz", index=":", format="vasp-xml")
    assert run.symbols == tuple(theirs.atomic_symbols) == ("Si", "Si")
    assert (run.version, run.nelm, run.relaxed) == ("5.4.1", 100, True)
    assert len(run.steps) == len(theirs.ionic_steps) == len(frames) == 3
    assert run.steps[-1].energy == theirs.final_energy == -10.84671647
    for mine, other, frame in zip(run.steps, theirs.ionic_steps, frames, strict=True):
        assert run.sound(mine)
        assert mine.electronic_steps == len(other["electronic_steps"])
        # Tetrahedra have no entropy; the step's own e_0_energy is 0 in this file.
        assert other["e_0_energy"] == 0
        assert mine.energy == mine.free_energy == other["e_fr_energy"]
        assert mine.energy == pytest.approx(frame.get_potential_energy(), abs=1e-9)
        assert mine.forces.tolist() == np.array(other["forces"]).tolist()
        np.testing.assert_allclose(mine.forces, frame.get_forces(), atol=1e-12)
        kilobar = -0.1 * GPa * np.array(other["stress"])
        np.testing.assert_allclose(mine.stress[:3], np.diag(kilobar), rtol=1e-9)
        np.testing.assert_allclose(mine.stress, frame.get_stress(), atol=1e-12)
        np.testing.assert_allclose(mine.cell, frame.cell.array, atol=1e-12)
        np.testing.assert_allclose(mine.positions, other["structure"].frac_coords, atol=1e-12)
    told = Outcar(SHARED / "OUTCAR.gz")
    assert run.moments is not None
    assert run.moments[-1].tolist() == [one["tot"] for one in told.magnetization]


@real
def test_a_real_file_cut_at_every_twentieth_gives_a_prefix(tmp_path: Path) -> None:
    raw = gzip.decompress((SHARED / "vasprun.xml.gz").read_bytes())
    outcar = gzip.decompress((SHARED / "OUTCAR.gz").read_bytes()).decode()
    whole = only(SHARED).steps
    found = []
    for i in range(21):
        cut = raw[: len(raw) * i // 20]
        write(tmp_path, outcar=outcar[: len(outcar) * i // 20])
        (tmp_path / "vasprun.xml").write_bytes(cut)
        steps = only(tmp_path).steps
        found.append(len(steps))
        assert len(steps) == cut.count(b"</calculation>")
        for mine, other in zip(steps, whole, strict=False):
            assert mine.energy == other.energy
            np.testing.assert_array_equal(mine.forces, other.forces)
    assert found[0] == 0
    assert found[-1] == 3

"""A stand-in for VASP: what VASP reads, writes and does when it fails, with CHGNet's energies.

`vasp_std` is the executable. It reads INCAR, KPOINTS, POSCAR and POTCAR of the current folder,
relaxes with energies of CHGNet 0.3.0 and writes vasprun.xml, OUTCAR, OSZICAR, CONTCAR and XDATCAR
as VASP 6 does, one ionic step after the other. The environment variable VASP_STANDIN_DIR names the
folder of its log, its fault plan and the socket of its potential (`environment.prepare`);
VASP_STANDIN_STEP_SECONDS makes each ionic step that much longer.

As in VASP: geometries are written with 8 decimals (CONTCAR with 16), and the energy is that of the
written geometry; CONTCAR is empty until the first move and then holds the geometry of the *next*
step, so that after NSW steps it was never evaluated; a run that does not converge electronically
goes on; POTCAR's elements win over POSCAR's; forces that are not numbers count as converged.

Its own: no wave functions, so eigenvalues, densities of states and the entropy
(`results.energies`) are placeholders; k-points are reduced by time reversal only; the optimiser is
BFGS for every IBRION; the limit of EDIFFG on the cell is `Relaxation.converged`; a step whose
electrons did not converge is wrong by `program.UNCONVERGED_ERROR` per atom, so that a label made
of it shows.
"""

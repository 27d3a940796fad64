"""GPAW's build on Debian: FFTW, OpenBLAS, libxc; with GPAW_BUILD_MPI=1 also MPI. See gpaw.md."""

import os

mpi = os.environ.get("GPAW_BUILD_MPI") == "1"
fftw = True
libraries = ["xc", "openblas", "fftw3"]
compiler = "mpic++" if mpi else "g++"  # the build stops without it
linker = compiler

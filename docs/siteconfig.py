"""GPAW's build on Debian: one process, FFTW, OpenBLAS, libxc. See gpaw.md."""

mpi = False
fftw = True
libraries = ["xc", "openblas", "fftw3"]
compiler = "g++"  # the build stops without it
linker = "g++"

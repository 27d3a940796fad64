"""Quick evaluation of MACE with scalar messages; docs/fast-mace.md explains it."""

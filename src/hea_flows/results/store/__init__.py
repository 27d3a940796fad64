"""Documents of the job store: queries, provenance."""

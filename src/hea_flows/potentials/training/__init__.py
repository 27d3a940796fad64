"""One trainer for all torch potentials: data, loss, schedule, methods."""

"""Executing runs: the runtime of a process, its live runs, and the two drivers of a run's life."""

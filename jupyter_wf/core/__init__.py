"""The pure core: states, rules, the life of a run. Standard library only, no clock, no I/O."""

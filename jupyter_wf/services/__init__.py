"""What runs beside the engine: the reaper of dead processes' runs, and what starts runs outside the caller."""

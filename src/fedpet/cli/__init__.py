"""The terminal; wiring happens here and nowhere else."""

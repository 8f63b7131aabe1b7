"""Outcome mathematics without I/O: pairs of local sums and server results."""

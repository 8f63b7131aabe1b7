"""Hospitals learn together from FDG PET-CT and clinical data; only sums leave."""

__version__ = "0.1.0.dev0"

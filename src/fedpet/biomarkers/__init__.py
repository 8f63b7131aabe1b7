"""Lesion masks and records to named numbers with unit and source."""

"""Scans and a clinical table to checked, cached samples."""

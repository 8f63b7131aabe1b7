"""Phantom hospitals that write real DICOM, with known truth."""

"""DICOM without its patient, by the confidentiality profile of PS3.15; SUV stays computable."""

"""DICOM folder to SUV volume and CT on a known grid."""

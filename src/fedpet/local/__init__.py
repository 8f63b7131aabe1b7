"""A whole federation in this process: hospitals' folders, cohorts, or tables in memory."""

from fedpet.local.opening import federation

__all__ = ["federation"]

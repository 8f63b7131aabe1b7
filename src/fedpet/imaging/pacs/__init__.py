"""Scans from the hospital's PACS: settings, queries, retrieval, a bounded receiver."""

"""A hospital's folder that changed: looked through again, and what is to be done with each scan."""

from __future__ import annotations

from pathlib import Path

from fedpet.cohort.inputs import Inputs
from fedpet.cohort.listing import Listing, listing_of
from fedpet.cohort.prepare import Task
from fedpet.cohort.scan_table import scan_rows, write_scan_table
from fedpet.imaging.window import Window


def look(inputs: Inputs, folder: Path) -> tuple[Listing, list[Task]]:
    """Look through the folder, and say what is to be done.

    Args:
        inputs: Of the hospital.
        folder: The cache.

    Returns:
        What the folder holds, and a task for each scan.

    Raises:
        DataError: If there are no images, or a decision of the hospital cannot be followed.
    """
    index = inputs.index()
    write_scan_table(scan_rows(index, inputs.choices, inputs.pseudonyms), inputs.folder)
    inputs.fixes.require_known([scan.patient_id for scan in index.scans])
    settings = inputs.settings
    window = Window(spacing_mm=settings.spacing_mm, head=settings.head, arms=settings.arms)
    tasks = [
        Task(
            scan=scan,
            subject=inputs.pseudonyms.of(scan.patient_id),
            key=inputs.key_of(scan),
            cache=folder,
            window=window,
            rules=settings.rules,
            kind=settings.suv,
            corrections=inputs.fixes.of(scan.patient_id),
        )
        for scan in index.scans
    ]
    return listing_of(index, [task.key for task in tasks], inputs.pseudonyms), tasks

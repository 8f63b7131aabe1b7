"""What others do with the same scan: DICOM folder to arrays at 4 mm. Runs in the peers' own venv.

    python imaging_peers.py simpleitk|dcm2niix|monai FOLDER

Prints wall and processor seconds, without the time of imports. None of them computes SUV, checks
a header or caches anything but the two arrays.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SPACING_MM = 4.0
Work = Callable[[Path, Path], object]


def simpleitk() -> Work:
    """Series readers of GDCM, linear resampling of both onto one grid, NumPy files."""
    import numpy as np
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def work(folder: Path, out: Path) -> None:
        images = {}
        for kind in ("pet", "ct"):
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / kind)))
            images[kind] = reader.Execute()
        pet = images["pet"]
        extent = np.array(pet.GetSize()) * np.array(pet.GetSpacing())
        size = [round(float(length) / SPACING_MM) for length in extent]
        for kind, image in images.items():
            found = sitk.Resample(
                *(image, size, sitk.Transform(), sitk.sitkLinear, pet.GetOrigin()),
                *([SPACING_MM] * 3, pet.GetDirection(), 0.0, sitk.sitkFloat32),
            )
            np.save(out / f"{kind}.npy", sitk.GetArrayFromImage(found))

    return work


def dcm2niix() -> Work:
    """dcm2niix to NIfTI, not compressed, then SimpleITK as above."""
    import dcm2niix as program
    import numpy as np
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def work(folder: Path, out: Path) -> None:
        for kind in ("pet", "ct"):
            command = [program.bin, "-z", "n", "-b", "n", "-f", kind, "-o", str(out)]
            subprocess.run(  # noqa: S603 - the installed program
                [*command, str(folder / kind)], check=True, stdout=subprocess.DEVNULL
            )
        pet = sitk.ReadImage(str(out / "pet.nii"))
        extent = np.array(pet.GetSize()) * np.array(pet.GetSpacing())
        size = [round(float(length) / SPACING_MM) for length in extent]
        for kind in ("pet", "ct"):
            found = sitk.Resample(
                *(sitk.ReadImage(str(out / f"{kind}.nii")), size, sitk.Transform()),
                *(sitk.sitkLinear, pet.GetOrigin(), [SPACING_MM] * 3, pet.GetDirection()),
                *(0.0, sitk.sitkFloat32),
            )
            np.save(out / f"{kind}.npy", sitk.GetArrayFromImage(found))

    return work


def monai() -> Work:
    """MONAI's usual transforms: LoadImage with pydicom, Orientation, Spacing, save."""
    import numpy as np
    import torch
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientation, Spacing

    torch.set_num_threads(1)

    def work(folder: Path, out: Path) -> None:
        steps = Compose(
            [
                LoadImage(reader="PydicomReader", image_only=True),
                EnsureChannelFirst(),
                Orientation(axcodes="LPS", labels=None),
                Spacing(pixdim=(SPACING_MM,) * 3, mode="bilinear"),
            ]
        )
        for kind in ("pet", "ct"):
            np.save(out / f"{kind}.npy", steps(str(folder / kind)).numpy())

    return work


PEERS: dict[str, Callable[[], Work]] = {
    "simpleitk": simpleitk,
    "dcm2niix": dcm2niix,
    "monai": monai,
}


def main() -> None:
    """Import, do the work twice, and tell how long the second time took."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    work = PEERS[sys.argv[1]]()
    for _ in range(2):
        with tempfile.TemporaryDirectory() as out:
            start, before = time.perf_counter(), sum(os.times()[:4])
            work(Path(sys.argv[2]), Path(out))
            wall, cpu = time.perf_counter() - start, sum(os.times()[:4]) - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{wall:.4f} {cpu:.4f} {peak:.0f}")


if __name__ == "__main__":
    main()

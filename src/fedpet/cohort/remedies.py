"""What to do about each remark that imaging makes on a scan."""

from __future__ import annotations

DOSE_AND_WEIGHT = "Check dose, weight and their units; give the right ones in fixes.csv."
CLOCKS = "Compare the clocks of scanner and dose calibrator; give the injection in fixes.csv."
NOTHING = "Nothing, if this is as you expect."
REMEDIES: dict[str, str] = {
    "FP-2120": f"{DOSE_AND_WEIGHT} If they are right, look at the liver.",
    "FP-2121": f"{DOSE_AND_WEIGHT} If they are right, look whether it was injected beside a vein.",
    "FP-2122": DOSE_AND_WEIGHT,
    "FP-2123": DOSE_AND_WEIGHT,
    "FP-2124": DOSE_AND_WEIGHT,
    "FP-2125": "Export the series again from the scanner; the highest uptake may be cut off.",
    "FP-2126": "Nothing, if the line of fixes.csv is right.",
    "FP-2127": "Take SUV by body weight for this cohort, or check weight and size.",
    "FP-2128": "Check weight and size; give the right ones in fixes.csv.",
    "FP-2129": f"{CLOCKS} If it is right, consider leaving the subject out.",
    "FP-2130": "Nothing, if the unit that was taken is right.",
    "FP-2131": CLOCKS,
    "FP-2132": CLOCKS,
    "FP-2133": "Nothing, if the patient waited that long; SUV rises with the waiting time.",
    "FP-2134": "Check that the scan is an FDG PET.",
    "FP-2135": "Look at what the header says: fedpet cohort suv FOLDER.",
    "FP-2136": "Export the whole CT that belongs to the PET.",
    "FP-2137": NOTHING,
    "FP-2138": "Choose another one in scans.csv, if it is not the right one.",
    "FP-2139": "Export the whole series again, if slices are missing.",
    "FP-2140": "Draw the mask on this scan, or save it in the space of the PET.",
    "FP-2141": "Nothing, if there is no lesion.",
    "FP-2142": NOTHING,
    "FP-2143": "Export the CT with the PET: it tells organs from lesions.",
    "FP-2144": "Export the CT again.",
    "FP-2145": "Look at the liver, or take a fixed threshold for this cohort.",
    "FP-2146": "Draw the mask on the PET, or look whether it still covers the lesions.",
    "FP-2148": "Look whether the CT belongs to the PET, and whether the patient moved.",
    "FP-2149": "Export the CT without lossy compression.",
}

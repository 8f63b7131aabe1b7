"""Makes deidentify_basic.json: what dicom-anonymizer does to every attribute of its own table.

    pip install dicom-anonymizer==2.1.0
    python deidentify_basic.py > deidentify_basic.json

One data set holds every attribute of the table with a value that its type allows; dicom-anonymizer
(BSD-3-Clause), which reads PS3.15 Table E.1-1 of edition 2026c, removes, empties, replaces or
renumbers them. The file holds its verdict on each.
"""

import json
import sys
import warnings
from importlib.metadata import version

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset

VALUES = {
    "DA": "20240102", "DT": "20240102030405", "TM": "030405", "AS": "050Y", "DS": "1.5", "IS": "7",
    "UI": "1.2.3.4", "PN": "Doe^Jane", "CS": "WORD", "AE": "SCANNER", "US": 7, "FD": 1.5, "FL": 1.5,
    "UL": 7, "SS": 7, "SL": 7, "AT": 0x00100010, "UR": "http://a.b/c",
}  # fmt: skip


def value(vr: str) -> object:
    if vr == "SQ":
        item = Dataset()
        item.ReferencedSOPInstanceUID = "1.2.3.4"
        return [item]
    if vr in ("OB", "OW", "UN", "OB or OW"):
        return b"bytes!"
    return VALUES.get(vr, "some text")


def main() -> None:
    warnings.simplefilter("ignore")
    verdicts = {}
    for group, element in [
        tag for tag in table.ALL_TAGS if len(tag) == 2 and tag[0] not in (0x0000, 0x0002, 0x0004)
    ]:
        number = group << 16 | element
        try:
            vr = dictionary_VR(number)
        except KeyError:
            continue
        before = value(vr)
        dataset = Dataset()
        dataset.add_new(number, vr.split(" or ")[0], before)
        try:
            anonymize_dataset(
                dataset, base_rules_gen=lambda: initialize_actions("dicomfields_2026c")
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            verdicts[f"{number:08x}"] = f"fails ({type(error).__name__})"
            continue
        if number not in dataset:
            verdicts[f"{number:08x}"] = "removed"
            continue
        after = dataset[number].value
        if vr == "SQ" and after:
            same = after[0].get("ReferencedSOPInstanceUID") == "1.2.3.4"
            verdicts[f"{number:08x}"] = "kept" if same else "renumbered"
        elif after in (None, "", b"") or (vr == "SQ" and not after):
            verdicts[f"{number:08x}"] = "emptied"
        else:
            verdicts[f"{number:08x}"] = "kept" if after == before else "replaced"
    names = {number: keyword_for_tag(int(number, 16)) for number in verdicts}
    sys.stdout.write(json.dumps({
        "source": f"dicom-anonymizer {version('dicom-anonymizer')}, PS3.15 Table E.1-1, 2026c",
        "verdicts": {number: [names[number], verdicts[number]] for number in sorted(verdicts)},
    }, indent=0) + "\n")  # fmt: skip


if __name__ == "__main__":
    main()

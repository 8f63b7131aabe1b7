"""Write radiomics.json with pyradiomics 3.0.1, which is no dependency of this project.

pip install numpy setuptools SimpleITK PyWavelets pykwalify six
pip install --no-build-isolation pyradiomics==3.0.1
python tests/reference/radiomics.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SPACING_MM = (3.0, 2.0, 2.5)
# Features that both define alike, by our tag (in three dimensions, averaged over directions).
SAME = {
    "stat_mean": "firstorder_Mean",
    "stat_var": "firstorder_Variance",
    "stat_skew": "firstorder_Skewness",
    "stat_energy": "firstorder_Energy",
    "stat_iqr": "firstorder_InterquartileRange",
    "stat_rmad": "firstorder_RobustMeanAbsoluteDeviation",
    "ih_entropy": "firstorder_Entropy",
    "ih_uniformity": "firstorder_Uniformity",
    "morph_volume": "shape_MeshVolume",
    "morph_area_mesh": "shape_SurfaceArea",
    "morph_sphericity": "shape_Sphericity",
    "morph_diam": "shape_Maximum3DDiameter",
    "morph_pca_flatness": "shape_Flatness",
    "cm_contrast_3D_avg": "glcm_Contrast",
    "cm_corr_3D_avg": "glcm_Correlation",
    "cm_energy_3D_avg": "glcm_JointEnergy",
    "cm_joint_entr_3D_avg": "glcm_JointEntropy",
    "cm_clust_prom_3D_avg": "glcm_ClusterProminence",
    "cm_inv_diff_mom_norm_3D_avg": "glcm_Idmn",
    "cm_info_corr1_3D_avg": "glcm_Imc1",
    "cm_info_corr2_3D_avg": "glcm_Imc2",
    "cm_inv_var_3D_avg": "glcm_InverseVariance",
    "rlm_sre_3D_avg": "glrlm_ShortRunEmphasis",
    "rlm_lre_3D_avg": "glrlm_LongRunEmphasis",
    "rlm_rl_entr_3D_avg": "glrlm_RunEntropy",
    "rlm_glnu_3D_avg": "glrlm_GrayLevelNonUniformity",
    "rlm_r_perc_3D_avg": "glrlm_RunPercentage",
    "szm_sze_3D": "glszm_SmallAreaEmphasis",
    "szm_lze_3D": "glszm_LargeAreaEmphasis",
    "szm_zs_entr_3D": "glszm_ZoneEntropy",
    "szm_zs_var_3D": "glszm_ZoneVariance",
    "szm_lzhge_3D": "glszm_LargeAreaHighGrayLevelEmphasis",
    "ngt_coarseness_3D": "ngtdm_Coarseness",
    "ngt_contrast_3D": "ngtdm_Contrast",
    "ngt_busyness_3D": "ngtdm_Busyness",
    "ngt_complexity_3D": "ngtdm_Complexity",
    "ngt_strength_3D": "ngtdm_Strength",
    "ngl_lde_3D": "gldm_SmallDependenceEmphasis",
    "ngl_hde_3D": "gldm_LargeDependenceEmphasis",
    "ngl_dc_entr_3D": "gldm_DependenceEntropy",
    "ngl_dc_var_3D": "gldm_DependenceVariance",
    "ngl_hdhge_3D": "gldm_LargeDependenceHighGrayLevelEmphasis",
}


def case() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a lumpy image of 23 levels and an ellipsoid with a hole, without any randomness."""
    z, y, x = np.indices((20, 22, 24))
    waves = np.sin(z / 2.1) + np.cos(y / 2.7 + x / 5.3) + np.sin(x / 1.9) * np.cos(z / 3.1)
    image = np.floor((waves + 3) * 3.5) + 1 + (x * 7 + y * 13 + z * 3) % 3
    apart = ((z - 9.5) / 8) ** 2 + ((y - 10.5) / 9) ** 2 + ((x - 11.5) / 10) ** 2
    return image.astype(np.float64), (apart <= 1) & (apart > 0.05)


def main() -> None:
    """Measure the case with pyradiomics."""
    import radiomics
    import SimpleITK as sitk  # noqa: N813
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    image, inside = case()
    volumes = [sitk.GetImageFromArray(image), sitk.GetImageFromArray(inside.astype(np.uint8))]
    for volume in volumes:
        volume.SetSpacing(SPACING_MM[::-1])
    extractor = RadiomicsFeatureExtractor(binWidth=1.0, additionalInfo=False, gldm_a=0)
    extractor.enableAllFeatures()
    found = extractor.execute(*volumes)
    told = {
        "software": f"pyradiomics {radiomics.__version__}",
        "features": {tag: float(found[f"original_{name}"]) for tag, name in SAME.items()},
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

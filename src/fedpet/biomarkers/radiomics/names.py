"""What each radiomic feature of the cohort is called, in which unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature of a region.

    Args:
        name: IBSI tag in lower case.
        label: For people.
        unit: Of an image in SUV with voxels in mm; empty for none.
    """

    name: str
    label: str
    unit: str


_SPREAD = """
mean = mean | g/mL
var = variance | (g/mL)^2
skew = skewness
kurt = excess kurtosis
median = median | g/mL
min = minimum | g/mL
p10 = 10th percentile | g/mL
p90 = 90th percentile | g/mL
max = maximum | g/mL
iqr = interquartile range | g/mL
range = range | g/mL
mad = mean absolute deviation | g/mL
rmad = robust mean absolute deviation | g/mL
medad = median absolute deviation | g/mL
cov = coefficient of variation
qcod = quartile coefficient of dispersion
"""
_SIZES = """
{s}{e} = short {emphasis} emphasis
{l}{e} = long {emphasis} emphasis
lg{g}e = low grey level {emphasis} emphasis
hg{g}e = high grey level {emphasis} emphasis
{s}{d}lge = short low grey level emphasis
{s}{d}hge = short high grey level emphasis
{l}{d}lge = long low grey level emphasis
{l}{d}hge = long high grey level emphasis
glnu = grey level non-uniformity
glnu_norm = normalised grey level non-uniformity
{u}nu = {size} non-uniformity
{u}nu_norm = normalised {size} non-uniformity
{share} = {thing} percentage
gl_var = grey level variance
{v}_var = {size} variance
{v}_entr = {size} entropy
"""
_FAMILIES: Final = (
    (
        "morph",
        "Shape",
        """
volume = volume (mesh) | mm3
vol_approx = volume (voxels) | mm3
area_mesh = surface area | mm2
av = surface to volume ratio | 1/mm
comp_1 = compactness 1
comp_2 = compactness 2
sph_dispr = spherical disproportion
sphericity = sphericity
asphericity = asphericity
com = centre of mass shift | mm
diam = maximum diameter | mm
pca_maj_axis = major axis length | mm
pca_min_axis = minor axis length | mm
pca_least_axis = least axis length | mm
pca_elongation = elongation
pca_flatness = flatness
vol_dens_aee = volume density, ellipsoid
area_dens_aee = area density, ellipsoid
vol_dens_aabb = volume density, bounding box
area_dens_aabb = area density, bounding box
vol_dens_conv_hull = volume density, convex hull
area_dens_conv_hull = area density, convex hull
integ_int = integrated intensity | g/mL mm3
moran_i = Moran's I
geary_c = Geary's C
""",
        "",
    ),
    ("loc", "Local intensity", "peak_loc = local peak | g/mL\npeak_glob = global peak | g/mL", ""),
    (
        "stat",
        "Intensity",
        _SPREAD + "energy = energy | (g/mL)^2\nrms = root mean square | g/mL",
        "",
    ),
    (
        "ih",
        "Histogram of levels",
        "\n".join(line.split(" | ")[0] for line in _SPREAD.splitlines())
        + """
mode = mode
entropy = entropy
uniformity = uniformity
max_grad = maximum gradient
max_grad_g = level of the maximum gradient
min_grad = minimum gradient
min_grad_g = level of the minimum gradient
""",
        "",
    ),
    (
        "ivh",
        "Intensity-volume histogram",
        """
v10 = volume fraction at 10 % intensity
v90 = volume fraction at 90 % intensity
i10 = intensity at 10 % volume | g/mL
i90 = intensity at 90 % volume | g/mL
diff_v10_v90 = difference of volume fractions
diff_i10_i90 = difference of intensities | g/mL
""",
        "",
    ),
    (
        "cm",
        "GLCM",
        """
joint_max = joint maximum
joint_avg = joint average
joint_var = joint variance
joint_entr = joint entropy
diff_avg = difference average
diff_var = difference variance
diff_entr = difference entropy
sum_avg = sum average
sum_var = sum variance
sum_entr = sum entropy
energy = angular second moment
contrast = contrast
dissimilarity = dissimilarity
inv_diff = inverse difference
inv_diff_norm = normalised inverse difference
inv_diff_mom = inverse difference moment
inv_diff_mom_norm = normalised inverse difference moment
inv_var = inverse variance
corr = correlation
auto_corr = autocorrelation
clust_tend = cluster tendency
clust_shade = cluster shade
clust_prom = cluster prominence
info_corr1 = information correlation 1
info_corr2 = information correlation 2
""",
        "_3d_comb",
    ),
    (
        "rlm",
        "GLRLM",
        _SIZES.format(
            s="sr", l="lr", e="e", g="r", d="", u="rl", v="rl",
            share="r_perc", thing="run", size="run length", emphasis="run",
        ),
        "_3d_comb",
    ),
    (
        "szm",
        "GLSZM",
        _SIZES.format(
            s="sz", l="lz", e="e", g="z", d="", u="zs", v="zs",
            share="z_perc", thing="zone", size="zone size", emphasis="zone",
        ).replace("short", "small").replace("long", "large"),
        "_3d",
    ),
    (
        "dzm",
        "GLDZM",
        _SIZES.format(
            s="sd", l="ld", e="e", g="z", d="", u="zd", v="zd",
            share="z_perc", thing="zone", size="zone distance", emphasis="distance",
        ).replace("short", "small").replace("long", "large"),
        "_3d",
    ),
    (
        "ngt",
        "NGTDM",
        "coarseness = coarseness\ncontrast = contrast\nbusyness = busyness\n"
        "complexity = complexity\nstrength = strength",
        "_3d",
    ),
    (
        "ngl",
        "NGLDM",
        _SIZES.format(
            s="ld", l="hd", e="e", g="c", d="", u="dc", v="dc",
            share="dc_perc", thing="dependence count", size="dependence count",
            emphasis="dependence",
        ).replace("short", "low").replace("long", "high")
        + "dc_energy = dependence count energy",
        "_3d",
    ),
)  # fmt: skip


def _features() -> tuple[Feature, ...]:
    found = []
    for prefix, family, lines, ending in _FAMILIES:
        for line in filter(None, lines.splitlines()):
            tag, _, told = line.partition(" = ")
            words, _, unit = told.partition(" | ")
            found.append(
                Feature(name=f"{prefix}_{tag}{ending}", label=f"{family}: {words}", unit=unit)
            )
    return tuple(found)


FEATURES: Final = _features()

"""MAP@all that the papers report, in %, for the side-by-side tables (design 3).

They are from the papers' own pictures, splits and training: an anchor, not a competitor under the same conditions.
"""

from __future__ import annotations

from collections.abc import Mapping

Figures = Mapping[str, float]

FASHIONAI: Figures = {
    "random": 15.79,
    "Triplet network": 38.52,
    "CSN": 53.52,
    "ASEN": 61.02,
    "ASEN v2": 61.13,
    "ASEN++": 64.27,
    "AttnFashion": 55.36,
    "AG-MAN": 62.88,
    "MODC": 74.32,
    "M3-Net, attribute modules": 73.93,
    "M3-Net, class modules": 72.88,
    "M3-Net": 75.04,
}
DARN: Figures = {
    "random": 32.26,
    "Triplet network": 40.14,
    "CSN": 50.86,
    "ASEN": 53.31,
    "ASEN v2": 54.29,
    "ASEN++": 55.78,
    "MODC": 62.56,
    "M3-Net, attribute modules": 71.06,
    "M3-Net, class modules": 72.79,
    "M3-Net": 72.42,
}
DEEPFASHION_PER_CLASS: Figures = {
    "random": 5.41,
    "ASEN": 12.33,
    "ASEN v2": 12.51,
    "ASEN++": 12.74,
    "MODC": 12.78,
    "M3-Net, attribute modules": 19.03,
    "M3-Net, class modules": 20.92,
    "M3-Net": 21.78,
}
DEEPFASHION_SINGLE_LABEL: Figures = {"random": 3.38, "CSN": 8.07, "ASEN v2": 8.67, "AttnFashion": 6.81, "AG-MAN": 8.98}


def published(data_set: str, *, per_class: bool) -> Figures:
    """System -> MAP@all over all queries, %.

    Args:
        data_set: fashionai, darn or deepfashion.
        per_class: whether an image asks one query per class that it carries, which tells DeepFashion's two protocols
            apart.
    """
    deepfashion = DEEPFASHION_PER_CLASS if per_class else DEEPFASHION_SINGLE_LABEL
    return {"fashionai": FASHIONAI, "darn": DARN, "deepfashion": deepfashion}[data_set]

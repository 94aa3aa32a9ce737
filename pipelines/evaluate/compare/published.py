"""What the papers report, in %, for the side-by-side tables (design 3).

It is from the papers' own pictures, splits and training: an anchor, not a competitor under the same conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Figures = Mapping[str, float]
DataSet = Literal["fashionai", "darn", "deepfashion", "zappos50k", "shopping100k", "celeba"]


@dataclass(frozen=True)
class Published:
    """Figures of one table.

    Attributes:
        task: of `query_table.TASKS`.
        measure: that they are of.
        column: ``overall`` (over all queries) or ``macro`` (the plain mean over attributes).
        attributes: how many the papers have.
        figures: by system, in %.
    """

    task: str
    measure: str
    column: Literal["overall", "macro"]
    attributes: int
    figures: Figures


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


ZAPPOS50K: Figures = {"CSN": 93.14, "ASEN v2": 92.54, "AttnFashion": 91.37, "AG-MAN": 93.32}
SHOPPING100K: Figures = {
    "AMNet": 24.3,
    "FashionSearchNet-v2, w/o Rank": 22.0,
    "FashionSearchNet-v2, Rank": 28.8,
    "FashionSearchNet-v2, Rank-L": 32.6,
    "FashionSearchNet-v2, Rank-LG": 47.3,
    "FashionSearchNet-v2": 48.3,
    "FashionSearchNet-v2, w/ FF": 45.6,
}
DARN_MANIPULATION: Figures = {"AMNet": 18.4, "FashionSearchNet-v2": 35.0, "FashionSearchNet-v2, w/ FF": 36.2}
CELEBA: Figures = {"AMNet": 39.9, "FashionSearchNet-v2": 77.5}


def published(data_set: DataSet, *, per_class: bool) -> tuple[Published, ...]:
    """All tables of a data set.

    Args:
        data_set: its name.
        per_class: whether an image asks one query per class that it carries, and a candidate stands for all of its
            classes, which tells DeepFashion's two protocols apart.
    """
    deepfashion = DEEPFASHION_PER_CLASS if per_class else DEEPFASHION_SINGLE_LABEL
    retrieval = {"fashionai": (8, FASHIONAI), "darn": (9, DARN), "deepfashion": (5, deepfashion)}
    manipulation = {"darn": (9, DARN_MANIPULATION), "shopping100k": (12, SHOPPING100K), "celeba": (8, CELEBA)}
    tables = []
    if data_set in retrieval:
        tables.append(Published("retrieval", "MAP@all", "overall", *retrieval[data_set]))
    if data_set in manipulation:
        tables.append(Published("manipulation", "Top-20", "macro", *manipulation[data_set]))
    if data_set == "zappos50k":
        tables.append(Published("triplets", "accuracy", "overall", 4, ZAPPOS50K))
    return tuple(tables)

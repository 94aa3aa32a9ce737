"""The public data sets that can be imported. To add one: a module like the others, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from . import asen, celeba, deepfashion, fashionai, imaterialist2018, shopping100k, zappos50k
from .reading import AnyDataSet

_ALL: tuple[AnyDataSet, ...] = (
    fashionai.DATA_SET,
    asen.DATA_SET,
    deepfashion.DATA_SET,
    zappos50k.DATA_SET,
    shopping100k.DATA_SET,
    imaterialist2018.DATA_SET,
    celeba.DATA_SET,
)
DATA_SETS: Mapping[str, AnyDataSet] = {data_set.name: data_set for data_set in _ALL}

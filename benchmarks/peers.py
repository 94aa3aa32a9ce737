"""Others that benchmarks compare with. The house does not need them: ``make bench`` installs them."""

from __future__ import annotations

import importlib
from typing import Any

_PACKAGES = {"faiss": "faiss-cpu", "lance_ray": "'lance-ray==0.5.*' more_itertools"}


def peer(name: str) -> Any:
    """A module; None where it is not installed, which is said."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed, and not compared with: pip install --no-deps {_PACKAGES[name]}", flush=True)
        return None

"""What a search costs in an index of ten times the items, as far as partitions serve it.

    python -m benchmarks.search_growth                 # 10,000 and 100,000 items of 1024 numbers: minutes on two cores

Items of `benchmarks.shop`, asked in turn for the 100 nearest to an item, with one thread, every hit explained. The
claim: at most twice the cost. `exact` is how many of the answers compared everything.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.shop import Shop, shop_options
from pipelines.search.request import SearchRequest

_WARM = 5  # searches that are not counted


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        shops = [
            Shop(items, options.width, Path(folder) / str(items), options.data)
            for items in (options.items, 10 * options.items)
        ]
        times: tuple[list[float], list[float]] = ([], [])
        exact = [0, 0]
        for number in range(_WARM + options.queries):
            for n, shop in enumerate(shops):
                request = SearchRequest(item_id=shop.ids[number], page_size=options.hits)
                start = time.perf_counter()
                result = shop.engine.search(request)
                took = time.perf_counter() - start
                if number >= _WARM:
                    times[n].append(took)
                    exact[n] += result.exact
        small, large = (statistics.median(own) for own in times)
        for shop, median, own in zip(shops, (small, large), exact, strict=True):
            print(f"{len(shop.ids):9,} items {1000 * median:7.2f} ms (median), exact {own} of {options.queries}")
        print(f"ratio {large / small:.2f}")
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = shop_options(__doc__, 10_000)
    parser.add_argument("--hits", type=int, default=100)
    parser.add_argument("--queries", type=int, default=200)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())

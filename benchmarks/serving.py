"""What gRPC adds to a search: a server process asked over loopback, against its engine called in this process.

    python -m benchmarks.serving                       # 20,000 items of 1024 numbers: a minute on two cores
    python -m benchmarks.serving --items 2000 --width 256

Both read the same index and search for what is nearest to an item, in turn, each with one thread of torch. "gRPC adds"
is the difference of the medians, from request message to response message. "outside" is, of each call, what the stages
in its own answer do not account for: both processes' messages, the network, and the way into a thread and back. For
scale a call that says nothing, and the same search by our client, which makes dataclasses of messages. The claim: gRPC
adds at most 1 ms at the median.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import torch

from benchmarks.shop import Shop, shop_options
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, search_pb2, search_pb2_grpc
from pipelines.search.request import SearchRequest
from pipelines.serve.async_client import AsyncClient

_WARM = 20  # calls of each kind that are not counted


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    torch.set_num_threads(1)  # as the server's threads have
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        shop = Shop(options.items, options.width, Path(folder), options.data)
        with served(shop) as target:
            print(f"{options.items:,} items of {options.width} ({options.data}), {options.calls} calls of each kind")
            asyncio.run(_measure(shop, target, options.hits, options.calls))
    return 0


@contextmanager
def served(shop: Shop) -> Iterator[str]:
    """A server of the shop in a process of its own; its address."""
    arguments = ["--index", str(shop.index), "--checkpoint", str(shop.checkpoint), "--port", "0"]
    command = [sys.executable, "-m", "pipelines.serve", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().rpartition(" ")[2].strip()
        finally:
            server.send_signal(signal.SIGTERM)


async def _measure(shop: Shop, target: str, pages: Sequence[int], calls: int) -> None:
    async with AsyncClient(target) as client, grpc.aio.insecure_channel(target) as channel:
        await client.published()  # tries until it is loaded
        search, catalog = search_pb2_grpc.SearchServiceStub(channel), catalog_pb2_grpc.CatalogServiceStub(channel)
        for hits in pages:
            times: dict[str, list[float]] = {"engine": [], "gRPC": [], "client": [], "empty": [], "outside": []}

            async def timed(kind: str, ask: Callable[[], Awaitable[Any]], times: dict[str, list[float]]) -> Any:
                begin = time.perf_counter()
                answer = await ask()
                times[kind].append(1000 * (time.perf_counter() - begin))
                return answer

            for number in range(_WARM + calls):
                request = SearchRequest(item_id=shop.ids[number % len(shop.ids)], page_size=hits)
                message = search_pb2.SearchRequest(item_id=request.item_id, page_size=hits)

                async def ours(request: SearchRequest = request) -> object:
                    return shop.engine.search(request)

                expected = await timed("engine", ours, times)
                answer = await timed("gRPC", partial(search.Search, message), times)
                found = await timed("client", partial(client.search, request), times)
                await timed("empty", lambda: catalog.GetLimits(catalog_pb2.GetLimitsRequest()), times)
                inside = sum(one.duration.ToNanoseconds() / 1e6 for one in answer.timings)
                times["outside"].append(times["gRPC"][-1] - inside)
                assert found.hits == expected.hits and len(answer.hits) == len(expected.hits)
            medians = {kind: statistics.median(own[_WARM:]) for kind, own in times.items()}
            print(
                f"{hits:4} hits: engine {medians['engine']:.2f} ms, over gRPC {medians['gRPC']:.2f} ms (our client "
                f"{medians['client']:.2f} ms), an empty call {medians['empty']:.2f} ms"
            )
            adds = medians["gRPC"] - medians["engine"]
            print(f"           gRPC adds {adds:.2f} ms; outside {medians['outside']:.2f} ms; claimed: at most 1 ms")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = shop_options(__doc__, 20_000)
    parser.add_argument("--hits", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--calls", type=int, default=300)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())

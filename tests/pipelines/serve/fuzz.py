"""Calls of every method with messages drawn from its own description, so that a new method is covered by itself.

Half of what is drawn is near to what is valid: names, ids, pictures and tokens that exist stand among hostile ones.
For minutes on end::

    python -m tests.pipelines.serve.fuzz --minutes 5 --seed 1
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from pipelines.rpc.duet.v1 import search_pb2
from pipelines.serve.client import Client

from .abuse import function_of
from .drawn_messages import DrawnMessages, methods
from .shop import make_shop, picture, serving
from .test_lifecycle import until

NEVER = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
_NEVER_NUMBERS = {code.value[0] for code in NEVER}


class Fuzz:
    """Draws and makes calls.

    Args:
        channel: to a server of the shop.
        seed: of everything that is drawn.
    """

    def __init__(self, channel: grpc.Channel, seed: int) -> None:
        self._channel, self.rng = channel, random.Random(seed)
        self.statuses: dict[str, Counter[str]] = defaultdict(Counter)
        self.faults: list[str] = []
        self._drawn = DrawnMessages(self.rng)

    @property
    def calls(self) -> int:
        """How many were made."""
        return sum(counter.total() for counter in self.statuses.values())

    def run(self, seconds: float, check: Callable[[], object]) -> None:
        """Call for that long; `check` now and then, and at the end."""
        everything, end = methods(), time.monotonic() + seconds
        took = [1e-3] * len(everything)  # seconds a call, lately
        while time.monotonic() < end:
            for _ in range(100):
                # What takes long is called less often, by a root: changes of the catalogue leave others their turn.
                chosen = self.rng.choices(range(len(everything)), [one**-0.5 for one in took])[0]
                before = time.monotonic()
                self.call(everything[chosen])
                took[chosen] += 0.1 * (time.monotonic() - before - took[chosen])
            check()

    def call(self, method: MethodDescriptor) -> None:
        """One call; what is wrong with how it ends is added to `faults`."""
        name, rng = method.full_name, self.rng
        message = GetMessageClass(method.input_type)
        count = rng.choice((0, 1, 1, 2, 5)) if method.client_streaming else 1
        data = self._drawn.some(message, count)
        function = function_of(self._channel, method)
        timeout = rng.choice((0.001, 0.02, 30, 30, 30, 30))
        try:
            answer = function(iter(data) if method.client_streaming else data[0], timeout=timeout)
            answers = list(answer) if method.server_streaming else [answer]
        except grpc.RpcError as error:
            self.statuses[name][error.code().name] += 1
            slow = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and timeout == 30
            if error.code() in NEVER or slow:
                sent = [one.hex()[:4000] for one in data]
                self.faults.append(f"{name}: {error.code().name} {error.details()}\n  sent {sent}")
        else:
            self.statuses[name]["OK"] += 1
            for one in answers:
                self._drawn.remember(one)
                bad = [code for code in _codes_within(one) if code in _NEVER_NUMBERS]
                if bad:
                    self.faults.append(
                        f"{name}: an answer with codes {bad} within\n  sent {[d.hex()[:4000] for d in data]}"
                    )


def _codes_within(message: Message) -> Iterator[int]:
    """The codes of every error within a message: how single requests of a stream ended."""
    if isinstance(message, search_pb2.SearchError):
        yield message.code
    for field, value in message.ListFields():
        entries = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.message_type is not None and not entries:
            for one in value if field.is_repeated else [value]:
                yield from _codes_within(one)


def table(fuzz: Fuzz) -> str:
    """How the calls of each method ended."""
    lines = []
    for name, counter in sorted(fuzz.statuses.items()):
        counts = ", ".join(f"{status} {count}" for status, count in counter.most_common())
        lines.append(f"{name:45} {counter.total():7,}: {counts}")
    return "\n".join(lines)


def main() -> int:
    """Fuzz a shop of its own; 1 if anything ended as it never may."""
    parser = argparse.ArgumentParser(prog="python -m tests.pipelines.serve.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        fuzz = fuzzed(Path(folder), options.seed, options.minutes * 60)
    print(f"{fuzz.calls:,} calls\n{table(fuzz)}")
    for fault in fuzz.faults[:20]:
        print(fault)
    print(f"{len(fuzz.faults)} that may never be")
    return 1 if fuzz.faults else 0


def fuzzed(folder: Path, seed: int, seconds: float) -> Fuzz:
    """Fuzz a server of a new shop; it must answer a normal request all along."""
    (folder / "pictures").mkdir()
    for number in range(2):
        (folder / "pictures" / f"{number}.png").write_bytes(picture(number))
    with (
        serving(make_shop(folder), roots=[str(folder / "pictures")]) as running,
        Client(running.target) as client,
    ):
        client.search(image=picture(3))
        with grpc.insecure_channel(running.target) as channel:
            fuzz = Fuzz(channel, seed)
            fuzz.run(seconds, lambda: client.search(image=picture(3)))
        until(lambda: running.under_way == 0)
    return fuzz


if __name__ == "__main__":
    raise SystemExit(main())

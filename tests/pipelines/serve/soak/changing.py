"""Those who change: items, what is published, and items by another process that is killed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from pipelines.rpc.duet.v1 import catalog_pb2, value_pb2
from pipelines.search.filters import Membership
from pipelines.search.request import SearchRequest
from pipelines.serve import client_calls as calls
from pipelines.serve.client_calls import Call

from .answers import look
from .history import Asked
from .processes import Caller
from .run import CORE, Run, Violation


def writer(run: Run, name: str) -> Callable[[random.Random, Caller], None]:
    """Somebody who puts in and takes out items that nobody else does."""
    keys = [f"{name} '{n}'" for n in range(8)]
    done: list[tuple[Call[Any], Any]] = []

    def write(dice: random.Random, caller: Caller) -> None:
        if done and dice.random() < 0.15:
            call, before = dice.choice(done)
            again = run.written(caller, call)
            run.counted("requests that came again")
            if again != before:
                raise Violation(f"a request was answered {before}, and when it came again {again}")
            return
        chosen = dice.sample(keys, dice.randint(1, 3))
        if dice.random() < 0.7:
            values: dict[str, int | None] = {key: next(run.versions) for key in chosen}
            call = _upsert(values, broken=dice.random() < 0.2)
        else:
            values = dict.fromkeys(chosen)
            call = calls.delete(chosen, None)
        answer = run.acknowledged(caller, call, Asked(run.before(), values))
        done.append((call, answer))
        if values[chosen[0]] is None:
            right = answer.deleted_count + answer.absent_count == len(chosen)
            run.counted("deletions")
        else:
            right = (answer.changed_count, answer.unchanged_count) == (len(chosen), 0)
            right &= all(one.item_id == "broken" for one in answer.refused_items)
            run.counted("upserts")
        if not right:
            raise Violation(f"{values} was answered {answer}")
        versions = tuple(value or 0 for value in values.values())
        run.right(caller, SearchRequest(item_id=CORE[0], filter=Membership("price", versions), page_size=9), "looks")

    return write


def publish(run: Run, dice: random.Random, caller: Caller) -> None:
    """Roll back to one of the last snapshots, or publish what is there."""
    if dice.random() < 0.3:
        run.written(caller, calls.publish("", None))
        run.counted("publications")
        return
    target = dice.choice(run.snapshots.listed()[-6:])
    run.acknowledged(caller, calls.publish(target, None), Asked(run.before(), target=target))
    run.counted("rollbacks")


def ingest(run: Run, dice: random.Random, caller: Caller) -> None:
    """Another process changes items of its own, and is killed."""
    chosen = dice.sample([f"ingested '{n}'" for n in range(12)], dice.randint(1, 4))
    delete = dice.random() < 0.25
    values = {key: None if delete else next(run.versions) for key in chosen}
    asked = Asked(run.before(), values)
    run.history.ask(asked)
    path = run.manifest(f"ingested {next(run.versions)}", values)

    def kill() -> None:
        if run.ingester.kill():
            run.counted("kills of the ingestion")

    while True:
        killer = threading.Timer(dice.uniform(0.1, 2.5), kill)
        if dice.random() < 0.4:
            killer.start()
        said = run.ingester.run(path, delete)
        killer.cancel()
        if said is not None and not said["busy"]:
            break
        time.sleep(dice.uniform(0, 0.3))
    run.history.acknowledge(asked, said["snapshot"], exactly=False)
    run.counted("ingestions")


def _upsert(values: dict[str, int | None], broken: bool) -> Call[Any]:
    items = [
        catalog_pb2.UpsertItem(
            item_id=item_id, image=look(version), metadata={"price": value_pb2.Value(int_value=version)}
        )
        for item_id, version in values.items()
        if version is not None
    ]
    return calls.upsert([*items, *[catalog_pb2.UpsertItem(item_id="broken", image=b"no picture")] * broken], None)

"""Random programs of upserts, deletions, publications, rollbacks and searches, on an index and on the slow oracle.

    python -m tests.pipelines.search.congruence --programs 2000 --seed 7

A program that the two answer differently is shrunk to a short one, and printed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace

import torch
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from model.checkpoint import Prototypes
from pipelines.index.committer import Committer
from pipelines.index.datasets import write_rows
from pipelines.index.gate import GateSettings
from pipelines.index.lease import Lease
from pipelines.index.naming import PROTOTYPES
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.receipt import Receipt
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from pipelines.index.switch import roll_back
from pipelines.index.upkeep import UpkeepSettings
from pipelines.search.engine import Engine
from pipelines.search.matrices import MatrixCache
from pipelines.search.request import AttributeCondition, SearchRequest

from .oracle import answer, best_of_each
from .strategies import requests
from .world import METADATA, World, make_world

KEYS, VARIANTS = 8, 3
POOL = make_world(3, KEYS * VARIANTS)  # entry e is what the item with the id of e % KEYS may be
State = dict[int, int]  # key -> entry
_SETTINGS = PublishSettings(upkeep=UpkeepSettings(fragments=3), gate=GateSettings(max_loss=1.0))

keys, variants = st.integers(0, KEYS - 1), st.integers(0, VARIANTS - 1)


def world_of(state: State, snapshot_id: str = "s00000001") -> World:
    """A catalogue in some state, as the oracle reads it."""
    entries = list(state.values())
    return replace(
        POOL,
        ids=[POOL.ids[key] for key in state],
        attributes=POOL.attributes[entries],
        carried=POOL.carried[entries],
        probabilities=POOL.probabilities[entries],
        classes={(i, m): v for i, e in enumerate(entries) for (j, m), v in POOL.classes.items() if j == e},
        merged=POOL.merged[entries],
        metadata=[POOL.metadata[entry] for entry in entries],
        view=replace(POOL.view, snapshot_id=snapshot_id),
    )


class Catalogue(RuleBasedStateMachine):
    """An index, and what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="congruence-")
        self.committed: State = {}
        self.published: list[tuple[str, State]] = []
        self.engines: dict[str, Engine] = {}

    @initialize(items=st.dictionaries(keys, variants, min_size=3))
    def create(self, items: dict[int, int]) -> None:
        self.index = Index.create(self.folder)
        self.lease = Lease(self.index.uri)
        self.lease.__enter__()
        prototypes = Prototypes(
            torch.from_numpy(POOL.prototypes), torch.from_numpy(POOL.class_prototypes), torch.ones(len(POOL.prototypes))
        )
        checkpoint = replace(POOL.checkpoint, prototypes=prototypes)
        self.generation = self.index.create_generation(checkpoint, "/checkpoint", METADATA)
        self.committer = Committer(self.index, self.generation, self.lease)
        self.commit(items, set())
        self.publish()

    def teardown(self) -> None:
        if hasattr(self, "lease"):
            self.lease.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(items=st.dictionaries(keys, variants, min_size=1, max_size=5), gone=st.sets(keys, max_size=3))
    def commit(self, items: dict[int, int], gone: set[int]) -> None:
        new = {key: key + KEYS * variant for key, variant in items.items()}
        gone -= set(new)
        tables = world_of(new).reader().tables
        fragments = {
            name: write_rows(self.committer.datasets[name], rows.filter(LIVE))
            for name, rows in tables.items()
            if name != PROTOTYPES
        }
        replaced = tuple(sorted(POOL.ids[key] for key in {*new, *gone}))
        self.committer.commit([Receipt(self.committer.sequence + 1, replaced, fragments=fragments)])
        self.committed = {key: e for key, e in {**self.committed, **new}.items() if key not in gone}

    @rule(gone=st.sets(keys, min_size=1, max_size=3))
    def delete(self, gone: set[int]) -> None:
        self.committer.commit([Receipt(self.committer.sequence + 1, tuple(sorted(POOL.ids[key] for key in gone)))])
        self.committed = {key: entry for key, entry in self.committed.items() if key not in gone}

    @rule()
    def publish(self) -> None:
        self._published(publish(self.committer, settings=_SETTINGS).snapshot_id)

    @precondition(lambda self: len(self.published) > 1)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        snapshot_id, state = data.draw(st.sampled_from(self.published))
        snapshot = roll_back(self.index, self.lease, snapshot_id, _SETTINGS)
        self.committer = Committer(self.index, self.generation, self.lease)
        self.committed = dict(state)
        self._published(snapshot.snapshot_id)

    @rule(data=st.data(), streamed=st.booleans(), earlier=st.booleans())
    def search(self, data: st.DataObject, streamed: bool, earlier: bool) -> None:
        """In what is published now, or was before, with an engine that was opened then."""
        snapshot_id, state = data.draw(st.sampled_from(self.published)) if earlier else self.published[-1]
        engine = self._engine(snapshot_id, streamed)
        if not state:
            red = SearchRequest(attributes=(AttributeCondition("colour", ("red",)),))
            assert engine.search(red).total_candidates == 0
            return
        world = world_of(state, snapshot_id)
        request = data.draw(requests(world))
        expected = answer(world, request)
        total = len(expected)
        if request.group_by:
            expected = best_of_each(world, expected, request.group_by)
        found = engine.search(request)
        hits = [(hit.item_id, hit.tier) for hit in found.hits]
        assert hits == [(one.item_id, one.tier) for one in expected[: request.page_size or 10]]
        assert (found.total_candidates, found.snapshot_id) == (total, snapshot_id)

    @invariant()
    def readers_see_what_is_published(self) -> None:
        if hasattr(self, "index"):
            latest = self.index.latest()
            assert latest is not None and latest.snapshot_id == self.published[-1][0]

    def _published(self, snapshot_id: str) -> None:
        if not self.published or snapshot_id != self.published[-1][0]:
            self.published.append((snapshot_id, dict(self.committed)))
        assert self.published[-1][1] == self.committed
        self._engine(snapshot_id, False)

    def _engine(self, snapshot_id: str, streamed: bool) -> Engine:
        key = f"{snapshot_id} {streamed}"
        if key not in self.engines:
            cache = MatrixCache(0) if streamed else None
            reader = self.index.reader(self.index.snapshot(snapshot_id))
            self.engines[key] = Engine(reader, POOL.checkpoint, cache=cache)
        return self.engines[key]


class Counted(Catalogue):
    """Says how far it is. Those that hypothesis draws and cannot end are tried, too, and more are drawn for them."""

    tried = 0

    def teardown(self) -> None:
        super().teardown()
        Counted.tried += 1
        if Counted.tried % 100 == 0:
            print(f"{Counted.tried:,} programs tried", flush=True)


def check(
    programs: int,
    steps: int,
    number: int | None = None,
    *,
    shrink: bool = True,
    machine: type[Catalogue] = Catalogue,
) -> None:
    """Run random programs; raises with the shortest one that fails. `number` is a seed; None: always the same ones."""
    chosen = settings(
        max_examples=programs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=number is None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(machine if number is None else seed(number)(machine), settings=chosen)


def main(argv: Sequence[str] | None = None) -> int:
    """Run many programs, and say how many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=12, help="of a program, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    check(options.programs, options.steps, options.seed, machine=Counted)
    print(f"{options.programs:,} programs of up to {options.steps} steps (seed {options.seed}): all as the oracle says")
    return 0


if __name__ == "__main__":
    sys.exit(main())

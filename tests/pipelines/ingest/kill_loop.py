"""The kill loop: rounds of changes whose processes are killed at random moments, and a checker after every kill.

    python -m tests.pipelines.ingest.kill_loop --rounds 50 --seed 0

Each round changes a random part of a catalogue by one of Duet's own commands, in a process that is killed with SIGKILL
after a random time: the driver with all that it started, or, where Ray's workers embed, one of those. Then the same
command runs to its end. Now and then a round embeds the catalogue with another encoder, changes it while there are two
generations, publishes the new one and retires the old one, with kills in each step. Whatever is published at any time
is read with plain LanceDB and compared with an oracle that embeds every picture alone: right after a kill every item is
as it was before or as it will be, in all tables alike, and every snapshot that is listed holds what it held when it
was first seen; at the end of a round all are as they should be. The tables are large enough for vector indices, which
are built, extended and merged between the kills.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pipelines.index.store import Index

from .kill_check import Check
from .support import Entry, Oracle, catalogue, write_checkpoint, write_manifest

_FIRST = 300  # items; tables of 256 rows get a vector index
_UPKEEP = "--upkeep.fragments 3 --upkeep.vector.rows 256 --upkeep.vector.unindexed-share 0.02 --upkeep.vector.parts 2"
_KEEP = [*_UPKEEP.split(), *["--retention.minutes", "0", "--retention.batch", "2", "--retention.snapshots", "12"]]
_QUICK = [*_KEEP, "--gate.max-loss", "1"]
_COMMON = ["--chunk", "8", "--batch", "8", "--threads", "1", "--commit-vectors", "20", "--publish-commits", "2"]


@dataclass
class Loop:
    """The state of a loop.

    Args:
        folder: for everything.
        dice: decides everything.
        ray_share: of the ingestions, how many are embedded by Ray's workers (slow to start).

    Attributes:
        wanted: the catalogue as it should be.
        kills: how often which process was killed.
        check: looks at what is published.
    """

    folder: Path
    dice: random.Random
    ray_share: float
    wanted: dict[str, Entry] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    looks: int = 0

    def __post_init__(self) -> None:
        self.took: dict[str, float] = {}  # seconds of the last whole run of a command
        self.checkpoint, self.other = (
            write_checkpoint(self.folder / f"checkpoint {seed}", seed=seed) for seed in range(2)
        )
        oracles = [Oracle.of(self.checkpoint), Oracle.of(self.other)]
        self.index = self.folder / "index"
        self.check = Check(self.index, {oracle.checkpoint.digest: oracle for oracle in oracles})

    def round(self, number: int) -> str:
        """One change, killed and then ended; what it was, in words."""
        late = number > 2
        kind = self.dice.choices(("upsert", "delete", "rollback", "switch"), (14, 6, 2 * late, 3 * late))[0]
        before = dict(self.wanted)
        if kind == "switch":
            told = self._switch(number)
        elif kind == "rollback":
            # Back to where the last round left it: a change that is published, and then undone.
            self._to_its_end(self._ingest(self._change(number)))
            self.wanted, changed = before, dict(self.wanted)
            target = self._published_before(changed, before)
            arguments = ["pipelines.index", "rollback", target, "--index", str(self.index), *_KEEP]
            told = self._killed_and_ended(arguments, changed, before)
        elif kind == "delete" and len(before) > 30:
            gone = self.dice.sample(sorted(before), self.dice.randint(1, 8))
            path = write_manifest(self.folder / f"{number}.parquet", {item_id: Entry() for item_id in gone})
            self.wanted = {item_id: entry for item_id, entry in before.items() if item_id not in gone}
            arguments = ["pipelines.ingest", "--delete", "--manifest", path, "--index", str(self.index), *_QUICK]
            told = self._killed_and_ended(arguments, before, self.wanted)
        else:
            kind = "upsert"
            told = self._killed_and_ended(self._ingest(self._change(number)), before, self.wanted)
        return f"{kind}: {len(before)} -> {len(self.wanted)} items; {told}"

    def _switch(self, number: int) -> str:
        """Another encoder takes over, and the catalogue changes meanwhile."""
        before, old = dict(self.wanted), Index.open(self.index).generations()[0].name
        path = write_manifest(self.folder / f"{number} all.parquet", before)
        new = [*self._ingest(path), "--generation", "new", "--checkpoint", str(self.other)]
        told = [self._killed_and_ended(new, before, before)]
        told.append(self._killed_and_ended(self._ingest(self._change(number)), before, self.wanted))
        (name,) = {generation.name for generation in Index.open(self.index).generations()} - {old}
        for action, which in (("publish", name), ("retire", old)):
            arguments = ["pipelines.index", action, which, "--index", str(self.index)]
            arguments += [] if action == "retire" else _KEEP
            told.append(self._killed_and_ended(arguments, self.wanted, self.wanted))
        latest = Index.open(self.index).latest()
        assert latest is not None and latest.generation == name and old not in self._generations()
        self.checkpoint, self.other = self.other, self.checkpoint
        return "; ".join(told)

    def _change(self, number: int) -> str:
        """New, changed and relabelled items; the manifest that says so."""
        entries = {f"new {number} {n}": Entry(self._look(), (), n) for n in range(self.dice.randint(1, 30))}
        for item_id in self.dice.sample(sorted(self.wanted), min(len(self.wanted), self.dice.randint(0, 20))):
            old = self.wanted[item_id]
            again = self.dice.random() < 0.5
            entries[item_id] = Entry(old.look if again else self._look(), ("tribal",), self.dice.randrange(1000))
        self.wanted = {**self.wanted, **entries}
        broken = {f"broken {number}": Entry(1, broken=True)}
        return write_manifest(self.folder / f"{number}.parquet", {**entries, **broken})

    def _look(self) -> int:
        self.looks += 1
        return self.looks

    def _ingest(self, manifest: str) -> list[str]:
        by_ray = self.dice.random() < self.ray_share
        inline = ["--inline-rows", "0" if by_ray else "512"]
        where = ["--manifest", manifest, "--index", str(self.index)]
        if not self.check.last:  # from then on the index knows its encoders
            where += ["--checkpoint", str(self.checkpoint)]
        return ["pipelines.ingest", *where, *_COMMON, *_QUICK, *inline]

    def _published_before(self, changed: dict[str, Entry], before: dict[str, Entry]) -> str:
        """The last snapshot that has the catalogue as it was."""
        assert changed != before
        for snapshot in reversed(Index.open(self.index).snapshots()):
            if self.check.fault(snapshot, before, before) is None:
                return snapshot.snapshot_id
        raise AssertionError("what was published before the last change is not listed any more")

    def _killed_and_ended(self, arguments: list[str], before: dict[str, Entry], after: dict[str, Entry]) -> str:
        killed = []
        for _ in range(self.dice.randint(1, 2)):
            if (who := self._killed(arguments)) is None:
                break
            killed.append(who)
            self.check(before, after)
        if arguments[1] != "retire" or arguments[2] in self._generations():  # else it was killed when it was done
            self._to_its_end(arguments)
        self.check(after, after)
        return f"killed: {', '.join(killed) or 'nothing'}"

    def _generations(self) -> set[str]:
        """Names of all, also of one that is half retired and no more listed."""
        return {row["generation"] for row in Index.open(self.index).dataset("generations").to_table().to_pylist()}

    def _killed(self, arguments: list[str]) -> str | None:
        """Run a command and kill it after a random time; who was killed, None if it ended before."""
        process = self._start(arguments)
        if _by_ray(arguments) and self.dice.random() < 0.5:
            return self._kill_worker(process)
        try:
            process.wait(
                self.dice.uniform(0.3, 1) * self.took.get(_kind(arguments), 20.0 if _by_ray(arguments) else 6.0)
            )
            return None
        except subprocess.TimeoutExpired:
            pass
        tree = psutil.Process(process.pid)
        for one in (tree, *tree.children(recursive=True)):
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait()
        self.kills["driver"] += 1
        return "driver"

    def _kill_worker(self, process: subprocess.Popen[bytes]) -> str | None:
        """Kill the workers that embed, soon after they have started; the run must survive that."""
        pause, worked = self.dice.uniform(0, 2), False
        while process.poll() is None and not worked:
            children = psutil.Process(process.pid).children(recursive=True)
            workers = [child for child in children if "EncodeWorker" in _title(child)]
            if workers:
                time.sleep(pause)
                for worker in workers:
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()
                        worked = True
            time.sleep(0.05)
        assert process.wait(300) == 0, "a run survives its worker"
        self.kills["worker"] += worked
        return "worker" if worked else None

    def _to_its_end(self, arguments: list[str]) -> None:
        start, process = time.monotonic(), self._start(arguments)
        assert process.wait(600) == 0, (self.folder / "output.txt").read_text()[-3000:]
        self.took[_kind(arguments)] = time.monotonic() - start

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *arguments], stdout=output, stderr=output, env=dict(os.environ)
            )


def _by_ray(arguments: list[str]) -> bool:
    return "--inline-rows 0" in " ".join(arguments)


def _kind(arguments: list[str]) -> str:
    """Commands of one kind take about as long as one another."""
    return " ".join(
        [*arguments[:2], *(name for name in ("--delete", "new") if name in arguments), str(_by_ray(arguments))]
    )


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def run(rounds: int, seed: int, folder: Path, ray_share: float) -> Counter[str]:
    """So many rounds; raises `AssertionError` at the first violation. How often which process was killed."""
    loop = Loop(folder, random.Random(seed), ray_share)
    loop.wanted = catalogue(_FIRST)
    loop.looks = 1000
    path = write_manifest(folder / "first.parquet", loop.wanted)
    loop._killed_and_ended(loop._ingest(path), {}, loop.wanted)
    for number in range(1, rounds + 1):
        start = time.monotonic()
        told = loop.round(number)
        print(f"round {number} of {rounds} (seed {seed}): {told}; {time.monotonic() - start:.0f} s", flush=True)
    return loop.kills


def main(argv: Sequence[str] | None = None) -> int:
    """Run the loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray-share", type=float, default=0.3, help="of the ingestions that Ray's workers embed")
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        kills = run(given.rounds, given.seed, Path(folder), given.ray_share)
    print(f"{given.rounds} rounds, {kills['driver']} drivers and {kills['worker']} workers killed, 0 violations")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

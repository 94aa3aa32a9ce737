"""The Ray Data pipeline: pending chunks -> (decoding) -> encoding workers -> receipts, in order and streaming."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset

from cluster.errors import ClusterError
from cluster.runtime import cpu_share
from model.preparation import ImagePreparation
from pipelines.errors import DuetError
from pipelines.index.receipt import Receipt

from .decode_stage import decode_chunk
from .encode import EncodePlan, EncodeWorker
from .pending import Pending
from .quiet import quiet_data
from .report import Report
from .source import PendingSource
from .transport import unpack_receipt

# Logical CPUs. Together with the workers' share (`cpu_share`) they leave room on the smallest Ray: a stage that never
# finds its CPUs stops the others, and Ray then hangs without a word.
_READER_CPUS = 0.25
_DECODER_CPUS = 0.5
_LEAST_CPUS = 2


def stream_receipts(
    pending: Pending,
    plan: EncodePlan,
    preparation: ImagePreparation,
    *,
    actors: int,
    gpus: float,
    separate_decode: bool,
) -> Iterator[tuple[Receipt, Report]]:
    """Receipts in the order of the chunks, each as soon as its chunk is written. Ray must run.

    A worker that dies is started again, and its chunk with it.

    Raises:
        ClusterError: Ray has too few CPUs for all stages to run side by side, or too few GPUs.
        DuetError, OSError: what a worker met and the user can mend.
    """
    cpus = ray.cluster_resources().get("CPU", 0.0)
    if cpus < _LEAST_CPUS:
        raise ClusterError(f"indexing needs {_LEAST_CPUS} logical CPUs; this Ray has {cpus:g} (--ray.cpus)")
    if gpus:
        have, needed = int(ray.cluster_resources().get("GPU", 0)), math.ceil(actors / int(1 / gpus))
        if have < needed:  # Ray would wait for them for ever, without a word
            raise ClusterError(
                f"{actors} workers with {gpus:g} of a GPU each need {needed} GPUs; this Ray has {have} "
                "(--gpus, --actors)"
            )
    with quiet_data() as context:
        context.raise_original_map_exception = True  # else an actor's error comes as text only
        context.target_max_block_size = 1  # a block per chunk, passed on at once and not when 128 MB have come together
        receipts = _pipeline(pending, plan, preparation, actors, gpus, separate_decode)
    try:
        for block in receipts.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            assert isinstance(block, pa.Table)
            for number in range(block.num_rows):
                yield unpack_receipt(block.slice(number, 1))
    except ray.exceptions.RayError as error:
        known = _users_error(error)
        if known is None:
            raise
        raise known from error


def _pipeline(
    pending: Pending, plan: EncodePlan, preparation: ImagePreparation, actors: int, gpus: float, separate_decode: bool
) -> Dataset:
    chunks = ray.data.read_datasource(PendingSource(pending), override_num_blocks=1, num_cpus=_READER_CPUS)
    if separate_decode:
        chunks = chunks.map_batches(
            partial(decode_chunk, preparation=preparation, thumbnail_size=plan.thumbnail_size),
            batch_size=1,
            batch_format="pyarrow",
            zero_copy_batch=True,
            num_cpus=_DECODER_CPUS,
        )
    return chunks.map_batches(
        EncodeWorker,
        fn_constructor_args=(plan,),
        batch_size=1,
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ActorPoolStrategy(size=actors),
        num_cpus=cpu_share(actors),
        num_gpus=gpus or None,
    )


def _users_error(error: BaseException | None) -> DuetError | OSError | None:
    """The user's error that a worker's error carries, if it carries one."""
    while error is not None:
        if isinstance(error, DuetError | OSError) and not isinstance(error, ray.exceptions.RayError):
            # Ray appends what it knows of retries.
            error.args = tuple(a.partition("\nFailed to ")[0] if isinstance(a, str) else a for a in error.args)
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None

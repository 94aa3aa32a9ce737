"""Ray Data without its own progress bars and logs, in order: what `stream` and `topic` run in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ray.data import DataContext


@contextmanager
def quiet_data() -> Iterator[DataContext]:
    """A copy of the current context, which every data set that is made in the block keeps."""
    context = DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    # Or it tells that it shows no progress, and of errors that are raised as well.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with DataContext.current(context):
        yield context

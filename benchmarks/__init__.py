"""What makes a claim about speed measurable: each prints a ratio against a limit or a peer of the same run."""

import os

from cluster.runtime import COMPUTE

# Both sides of what is compared have the memory that Duet's workers have. Torch reads this when it is first used; the
# number of threads is each benchmark's own.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", COMPUTE["THP_MEM_ALLOC_ENABLE"])

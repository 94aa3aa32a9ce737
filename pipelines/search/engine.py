"""The query engine of one snapshot: raw request -> plan -> query vectors -> candidates -> ranking -> explained hits.

`Engine.search` is the one way in, for the gRPC service and the command line alike. The evaluation, which ranks
thousands of queries at once, follows the same rule (`pipelines.evaluate.gallery`); a test holds the two together.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from pipelines.errors import RequestError, StoreError

from .candidates import Candidates
from .limits import Limits
from .matrices import MatrixCache
from .paging import PageToken, PageTokens
from .plan import Plan, Scope
from .planner import make_plan, read_item_id
from .query import CheckpointEncoder, ClassPrototypes, EncoderPort, QueryDuet, Vector
from .ranking import rank
from .reader import Reader
from .request import SearchRequest
from .result import ClassProbability, Hit, Item, SearchResult
from .scoring import Scores, contribution, score
from .vectors import QuerySource, QueryVectors

DEFAULT_CACHE_BYTES = 2 * 1024**3


class Engine:
    """Answers requests about one snapshot; any number of threads may ask at once.

    Args:
        reader: of the snapshot.
        checkpoint: that the snapshot was embedded with.
        limits: what one request may hold; None = `Limits()`.
        tokens: page tokens; engines that continue each other's pages share their key.
        cache: for embeddings, may be shared by engines; its budget is what they keep in memory.
        encoder: where pictures are encoded; None = in the calling thread.

    Raises:
        StoreError: the snapshot was embedded with another checkpoint.
    """

    def __init__(
        self,
        reader: Reader,
        checkpoint: Checkpoint,
        *,
        limits: Limits | None = None,
        tokens: PageTokens | None = None,
        cache: MatrixCache | None = None,
        encoder: EncoderPort | None = None,
    ) -> None:
        snapshot = reader.snapshot
        if snapshot.model_digest != checkpoint.digest:
            raise StoreError(
                f"snapshot {snapshot.snapshot_id} was embedded with checkpoint {snapshot.model_digest[:12]}…, "
                f"not with {checkpoint.digest[:12]}…: embeddings of two encoders do not compare"
            )
        self.reader, self.checkpoint, self.limits = reader, checkpoint, limits or Limits()
        self._tokens = tokens or PageTokens(secrets.token_bytes(32))
        self._encoder = encoder or CheckpointEncoder(checkpoint, self.limits)
        self._candidates = Candidates(reader, cache or MatrixCache(DEFAULT_CACHE_BYTES))
        self._source = QuerySource(
            self._candidates,
            ClassPrototypes(reader.prototypes(), snapshot.taxonomy),
            self._encoder,
            checkpoint.head,
            snapshot.class_width is not None,
            checkpoint.encoder.class_first,
            checkpoint.encoder.slack,
        )
        has_global = snapshot.global_width is not None and checkpoint.head is not None
        metadata = {field.name: field.type for field in self._candidates.metadata.schema}
        self.scope = Scope(snapshot.snapshot_id, snapshot.taxonomy, metadata, has_global)

    def warm(self) -> None:
        """Read ahead what every search needs, embeddings apart."""
        self._candidates.warm()

    def plan(self, request: SearchRequest) -> Plan:
        """What would be done. Raises `RequestError`."""
        return make_plan(request, self.scope, self.limits, self._tokens)

    def item(self, item_id: str) -> Item:
        """One item with its thumbnail. Raises `RequestError`."""
        item_id = read_item_id(item_id, self.limits, "name")
        row, position = self.reader.item(item_id), self._candidates.find(item_id)
        if row is None or position is None:
            message = f"snapshot {self.scope.snapshot_id} has no item {item_id!r}"
            raise RequestError("ITEM_NOT_FOUND", message, "name")
        taxonomy = self.scope.taxonomy
        carried = {name: self._candidates.carried_by(n, position) for n, name in enumerate(taxonomy.names)}
        return Item(
            item_id=item_id,
            image_uri=self._candidates.image_uri(position),
            thumbnail=row["thumbnail"] or b"",
            metadata=self._candidates.metadata_of(position),
            labels={name: tuple(row["labels"].get(name) or ()) for name in taxonomy.names},
            predictions={
                name: tuple(ClassProbability(taxonomy.class_name(m)[1], p) for m, p in classes.items())
                for name, classes in carried.items()
            },
        )

    def embed(self, image: bytes) -> tuple[QueryDuet, Vector | None]:
        """The duet of an encoded picture, and its global embedding where the model has one.

        Raises:
            ImageError: the picture cannot be used.
            ModelError: what the model gives is not finite.
        """
        duet = self._source.encode(image, ())
        return duet, self._source.global_embedding(duet.attribute_embeddings) if self.scope.has_global else None

    def search(self, request: SearchRequest, before_stage: Callable[[str], None] = lambda stage: None) -> SearchResult:
        """Answer a request.

        Args:
            request: whatever was asked.
            before_stage: called with each stage's name before it; what it raises ends the search.

        Raises:
            RequestError: the request cannot be answered as it stands.
            ImageError: its picture cannot be used.
            StoreError: the index is damaged.
            ModelError: the model is.
        """
        seconds: dict[str, float] = {}

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            before_stage(name)
            start = time.perf_counter()
            yield
            seconds[name] = time.perf_counter() - start

        with stage("plan"):
            plan = self.plan(request)
        with stage("query"):
            query = self._source.vectors(plan)
        with stage("candidates"):
            leave_out = None if plan.item_id is None else self._candidates.find(plan.item_id)
            excluded = [index for condition in plan.conditions for index in condition.excluded]
            allowed = self._candidates.allowed(plan.filter, excluded, leave_out)
        with stage("score"):
            scores = score(plan, query, self._candidates, allowed)
        with stage("rank"):
            end = plan.offset + plan.page_size
            ids = self._candidates.id_ranks[allowed]
            order = rank(scores.tier, scores.similarity, ids, secondary=scores.secondary, limit=end)
        with stage("explain"):
            hits = self._hits(plan, query, scores, allowed, order)
        following = PageToken(plan.snapshot_id, plan.digest, end)
        return SearchResult(
            hits=hits,
            total_candidates=len(allowed),
            exact=True,
            snapshot_id=plan.snapshot_id,
            model=self.checkpoint.digest,
            timings=seconds,
            next_page_token=self._tokens.issue(following) if end < len(allowed) else "",
        )

    def _hits(
        self, plan: Plan, query: QueryVectors, scores: Scores, allowed: NDArray[np.int64], order: NDArray[np.int64]
    ) -> tuple[Hit, ...]:
        """The page's part of a ranking of the rows of `scores`."""
        hits = []
        for place, row in enumerate(order[plan.offset :].tolist(), plan.offset + 1):
            position = int(allowed[row])
            hits.append(
                Hit(
                    rank=place,
                    tier=0 if scores.tier is None else int(scores.tier[row]),
                    score=float(scores.similarity[row]),
                    item_id=self._candidates.item_id(position),
                    image_uri=self._candidates.image_uri(position),
                    metadata=self._candidates.metadata_of(position),
                    contributions=tuple(
                        contribution(n, query, scores, self._candidates, position, row) for n in plan.explained
                    ),
                )
            )
        return tuple(hits)

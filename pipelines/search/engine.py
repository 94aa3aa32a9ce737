"""The query engine of one snapshot: raw request -> plan -> query vectors -> candidates -> ranking -> explained hits.

`Engine.search` is the one way in, for the gRPC service and the command line alike. The evaluation, which ranks
thousands of queries at once, follows the same rule (`pipelines.evaluate.gallery`); a test holds the two together.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from model.checkpoint import Checkpoint
from pipelines.errors import ImageError, RequestError, StoreError

from .candidates import Candidates
from .description import describe_items
from .explanation import Explanation, changed_classes, explain_item
from .filters import Filter, check_filter
from .limits import Limits
from .matrices import MatrixCache
from .paging import PageToken, PageTokens
from .plan import Plan, Scope
from .planner import make_plan, read_item_id
from .products import Vector
from .query import CheckpointEncoder, ClassPrototypes, EncoderPort, QueryDuet
from .ranked_page import allowed_by, rank_page
from .reader import Reader
from .request import SearchRequest
from .result import Item, SearchResult
from .stages import Stages
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
            snapshot.width,
            snapshot.class_width,
            snapshot.global_width,
            checkpoint.encoder.class_first,
            checkpoint.encoder.slack,
        )
        has_global = snapshot.global_width is not None and checkpoint.head is not None
        metadata = {field.name: field.type for field in self._candidates.metadata.schema}
        self.scope = Scope(snapshot.snapshot_id, snapshot.taxonomy, metadata, has_global)

    def warm(self, like: Engine | None = None) -> None:
        """Read ahead what every search needs, and the embeddings that another engine's searches have needed.

        Args:
            like: an engine with the same cache; nothing is taken from one of another model.
        """
        alike = like is not None and like.checkpoint.digest == self.checkpoint.digest
        self._candidates.warm(like._candidates if like is not None and alike else None)

    def plan(self, request: SearchRequest) -> Plan:
        """What would be done. Raises `RequestError`."""
        return make_plan(request, self.scope, self.limits, self._tokens)

    def item(self, item_id: str) -> Item:
        """One item with its thumbnail. Raises `RequestError`."""
        item_id = read_item_id(item_id, self.limits, "name")
        found = describe_items(self.reader, self._candidates, [item_id])
        if not found:
            message = f"snapshot {self.scope.snapshot_id} has no item {item_id!r}"
            raise RequestError("ITEM_NOT_FOUND", message, "name")
        return found[0]

    def items(
        self, filter_: Filter | None = None, *, offset: int = 0, count: int = 10, thumbnails: bool = True
    ) -> tuple[list[Item], int]:
        """Items in the order of their ids.

        Args:
            filter_: of these only; None = all.
            offset: items before the first one.
            count: at most so many.
            thumbnails: whether they are read.

        Returns:
            Those, and how many pass the filter.

        Raises:
            RequestError: the filter cannot be answered.
        """
        checked = None if filter_ is None else check_filter(filter_, self.scope.metadata, self.limits)
        allowed = np.flatnonzero(self._candidates.allowed(checked, (), None))
        part = allowed[np.argsort(self._candidates.ids.ranks[allowed])][offset : offset + count]
        return describe_items(self.reader, self._candidates, self._candidates.ids.at(part), thumbnails=thumbnails), len(
            allowed
        )

    def embed(self, image: bytes) -> tuple[QueryDuet, Vector | None]:
        """The duet of an encoded picture, and its global embedding where the model has one.

        Raises:
            ImageError: the picture cannot be used.
            ModelError: nothing can be compared with what the model gives.
        """
        duet = self._source.encode(image, ())
        return duet, self._source.global_embedding(duet.attribute_embeddings) if self.scope.has_global else None

    def search(self, request: SearchRequest, before_stage: Callable[[str], None] = lambda stage: None) -> SearchResult:
        """Answer a request.

        Args:
            request: whatever was asked.
            before_stage: called with each stage's name before it; what it raises ends the search.

        Raises:
            RequestError: the request cannot be answered as it stands, or its picture cannot be used.
            StoreError: the index is damaged.
            ModelError: the model is.
        """
        stages = Stages(before_stage)
        with stages("plan"):
            plan = self.plan(request)
        model = self.checkpoint.digest
        if request.validate_only:
            return SearchResult((), 0, True, plan.snapshot_id, model, stages.seconds, "", plan=str(plan))
        with stages("query"):
            query = self._query(request, plan)
        page = rank_page(plan, query, self._candidates, stages)
        next_page = PageToken(plan.snapshot_id, plan.digest, plan.offset + plan.page_size)
        return SearchResult(
            hits=page.hits,
            total_candidates=page.total,
            exact=page.exact,
            snapshot_id=plan.snapshot_id,
            model=model,
            timings=stages.seconds,
            next_page_token=self._tokens.issue(next_page) if page.more else "",
            total_groups=page.groups,
            plan="\n".join([str(plan), *(f"  {shelf}" for shelf in page.shelves)]),
        )

    def explain(
        self, request: SearchRequest, item_id: str = "", before_stage: Callable[[str], None] = lambda stage: None
    ) -> Explanation:
        """Why an item is where it is among all candidates of a request.

        Args:
            request: its page and `group_by` mean nothing here.
            item_id: "" = only the query is explained.
            before_stage: as in `search`.

        Raises:
            RequestError: as `search`, with fields below ``search``; or the item is not in the snapshot, or is no
                candidate (``item_id``).
            StoreError, ModelError: as `search`.
        """
        before_stage("plan")
        try:
            plan = self.plan(replace(request, page_size=0, page_token="", group_by=""))
            if request.validate_only:
                return Explanation(str(plan), plan.snapshot_id, self.checkpoint.digest, {})
            before_stage("query")
            query = self._query(request, plan)
        except RequestError as error:
            raise error.below("search") from None
        changes = changed_classes(query, self.scope.taxonomy)
        if not item_id:
            return Explanation(str(plan), plan.snapshot_id, self.checkpoint.digest, changes)
        position = self._candidates.ids.find(read_item_id(item_id, self.limits, "item_id"))
        if position is None:
            message = f"snapshot {plan.snapshot_id} has no item {item_id!r}"
            raise RequestError("ITEM_NOT_FOUND", message, "item_id")
        before_stage("candidates")
        every = allowed_by(plan, self._candidates)
        if not every[position]:
            message = f"item {item_id!r} is no candidate: filter or excluded class leave it out, or it is the query"
            raise RequestError("NOT_A_CANDIDATE", message, "item_id")
        before_stage("rank")
        hit, parts = explain_item(plan, query, self._candidates, np.flatnonzero(every), position)
        return Explanation(str(plan), plan.snapshot_id, self.checkpoint.digest, changes, hit, parts)

    def _query(self, request: SearchRequest, plan: Plan) -> QueryVectors:
        """The vectors of a plan; what is wrong with its picture is wrong with the field that it came in."""
        try:
            return self._source.vectors(plan)
        except ImageError as error:
            field = "image" if request.image_uri is None else "image_uri"
            raise RequestError(f"IMAGE_{error.code}", str(error), field) from error

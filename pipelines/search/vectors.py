"""What the candidates are compared with: the query's duet after the manipulations, or prototypes in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder import asked
from model.manipulation import ManipulationHead, target_classes
from pipelines.errors import RequestError

from .candidates import Candidates
from .plan import Plan, QueryKind
from .products import Vector
from .query import ClassPrototypes, EncoderPort, QueryDuet, check_duet, check_vectors
from .spaces import Space


@dataclass(frozen=True)
class QueryVectors:
    """One query, ready to be compared.

    Args:
        attributes: by attribute position, D each; those that the plan explains.
        wanted: by attribute position, the class indices that a candidate should carry.
        classes: by class index, D each; the wanted classes of ranking conditions. Empty without a class level.
        merged: r, the global embedding after the manipulations; None without manipulations.
        removed: class indices that the manipulations took away.
        added: class indices that they put in.
    """

    attributes: Mapping[int, Vector]
    wanted: Mapping[int, tuple[int, ...]]
    classes: Mapping[int, Vector]
    merged: Vector | None = None
    removed: tuple[int, ...] = ()
    added: tuple[int, ...] = ()

    @property
    def spaces(self) -> dict[Space, Vector]:
        """Every vector, by its space."""
        result: dict[Space, Vector] = {("attribute", n): vector for n, vector in self.attributes.items()}
        result |= {("class", index): vector for index, vector in self.classes.items()}
        return result if self.merged is None else result | {("global", 0): self.merged}


@dataclass(frozen=True)
class QuerySource:
    """Where a plan's vectors come from.

    Args:
        candidates: of the snapshot, for a query that is one of its items.
        prototypes: for wanted classes that the query itself has no embedding of.
        encoder: for pictures.
        head: memory and global head; None if the model has none.
        width: of attribute embeddings in the index.
        class_width: of class embeddings; None without a class level.
        global_width: of global embeddings; None where there are none.
        class_first: whether a query's own classes make tiers (`model.encoder.Encoder.class_first`).
        slack: dimensions that a query leaves out (`model.encoder.Encoder.slack`).
    """

    candidates: Candidates
    prototypes: ClassPrototypes
    encoder: EncoderPort
    head: ManipulationHead | None
    width: int
    class_width: int | None
    global_width: int | None
    class_first: bool = True
    slack: int = 0

    def vectors(self, plan: Plan) -> QueryVectors:
        """The vectors of a plan.

        A wanted class is looked for with the query's own class embedding where it has one: a picture has one of
        every class it is asked about, an item of those it is predicted to carry. Else the prototype stands in.

        Raises:
            RequestError: an item that is not in the snapshot, or a class without prototype.
            ImageError: a picture that cannot be used.
            ModelError: what nothing can be compared with, of the encoder, its head or its prototypes.
        """
        if plan.query is QueryKind.PROTOTYPES:
            return self._from_prototypes(plan)
        duet = self._from_item(plan, plan.item_id) if plan.item_id is not None else self._from_image(plan)
        attributes, carried, merged = duet.attribute_embeddings, duet.carried, None
        removed: tuple[int, ...] = ()
        added: tuple[int, ...] = ()
        if plan.changes:
            attributes, carried, merged = self._change(duet, plan)
            removed, added = (
                tuple(np.flatnonzero(one & ~other).tolist())
                for one, other in ((duet.carried, carried), (carried, duet.carried))
            )
        wanted = {n: _carried_of(n, carried, plan) for n in plan.explained}
        wanted |= {
            condition.attribute: condition.classes for condition in plan.ranking if condition.classes is not None
        }
        if not self.class_first:
            # Such a system's predictions make no tiers, unless somebody says what they should be.
            changed = {change.attribute for change in plan.changes}
            own = (condition.attribute for condition in plan.ranking if condition.classes is None)
            wanted |= {n: () for n in own if n not in changed}
        return QueryVectors(
            {n: asked(attributes[n], self.slack) for n in plan.explained},
            wanted,
            self._class_vectors(plan, wanted, duet.class_embeddings),
            merged,
            removed,
            added,
        )

    def encode(self, image: bytes, classes: Sequence[int]) -> QueryDuet:
        """See `EncoderPort.encode`. Raises `ModelError` for a duet that nothing can be compared with."""
        duet = self.encoder.encode(image, classes)
        check_duet(duet, self.width, self.class_width)
        return duet

    def global_embedding(self, attribute_embeddings: NDArray[np.float32]) -> Vector:
        """Attribute embeddings A×D -> r, L2-normalised. Raises `ModelError` for one that is not."""
        assert self.head is not None
        with torch.inference_mode():
            embeddings = torch.from_numpy(attribute_embeddings)[None].to(self.head.memory.device)
            merged = self.head(embeddings)[0].cpu().numpy()
        check_vectors("the global head's output for this query", merged, width=self.global_width)
        return merged

    def _from_prototypes(self, plan: Plan) -> QueryVectors:
        wanted = {condition.attribute: condition.classes or () for condition in plan.ranking}
        means = {n: self.prototypes.attribute_vector(classes) for n, classes in wanted.items()}
        attributes = {n: asked(mean, self.slack) for n, mean in means.items()}
        return QueryVectors(attributes, wanted, self._class_vectors(plan, wanted, {}))

    def _from_image(self, plan: Plan) -> QueryDuet:
        assert plan.image is not None
        return self.encode(plan.image, plan.wanted_classes)

    def _from_item(self, plan: Plan, item_id: str) -> QueryDuet:
        taxonomy, position = plan.taxonomy, self.candidates.ids.find(item_id)
        if position is None:
            message = f"snapshot {plan.snapshot_id} has no item {item_id!r}"
            raise RequestError("ITEM_NOT_FOUND", message, "item_id")
        every = range(len(taxonomy.attributes))
        needed = every if plan.changes else plan.explained  # the global embedding is of all of them
        stored = {n: self.candidates.spaces.attribute_embedding(n, item_id) for n in needed}
        attributes = np.zeros((len(every), len(next(iter(stored.values())))), np.float32)
        probabilities = np.zeros(taxonomy.class_count, np.float32)
        carried = np.zeros(taxonomy.class_count, np.bool_)
        classes: dict[int, Vector] = {}
        for n, vector in stored.items():
            attributes[n] = vector
            for index, probability in self.candidates.carried_by(n, position).items():
                carried[index], probabilities[index] = True, probability
        if self.class_width is not None:
            for condition in plan.ranking:
                classes |= self.candidates.spaces.class_embeddings(condition.attribute, item_id, condition.classes)
        return QueryDuet(attributes, carried, probabilities, classes)

    def _change(self, duet: QueryDuet, plan: Plan) -> tuple[NDArray[np.float32], NDArray[np.bool_], Vector]:
        """Attribute embeddings, carried classes and global embedding after the manipulations."""
        assert self.head is not None
        device, carried = self.head.memory.device, torch.from_numpy(duet.carried)
        with torch.inference_mode():
            embeddings = torch.from_numpy(duet.attribute_embeddings).to(device)
            changed = self.head.change(embeddings, carried.to(device), plan.changes).cpu().numpy()
        target = target_classes(carried, plan.changes, plan.taxonomy).numpy()
        return changed, target, self.global_embedding(changed)

    def _class_vectors(
        self, plan: Plan, wanted: Mapping[int, tuple[int, ...]], own: Mapping[int, Vector]
    ) -> dict[int, Vector]:
        if self.class_width is None:
            return {}
        indices = sorted({index for condition in plan.ranking for index in wanted[condition.attribute]})
        return {index: own[index] if index in own else self.prototypes.class_vector(index) for index in indices}


def _carried_of(n: int, carried: NDArray[np.bool_], plan: Plan) -> tuple[int, ...]:
    span = plan.taxonomy.span(n)
    return tuple((np.flatnonzero(carried[span]) + span.start).tolist())

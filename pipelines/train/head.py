"""Training of the manipulation memory and the global head on a frozen encoder (design 2 §5, ours).

Instead of looking for an item that happens to have the target's attributes, the target is drawn first: an item t,
then an item q that shares much with it. The manipulation is whatever differs, so the target combination exists by
construction, and changes of several attributes at once are trained as they come.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.manipulation import ManipulationHead
from model.soft_triplet import soft_triplet
from model.taxonomy import Taxonomy

_POOL = 64  # random items among which the most alike becomes q
_TEMPERATURE = 0.05


def train_head(
    head: ManipulationHead,
    embeddings: Tensor,
    carried: Tensor,
    known: Tensor,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> list[float]:
    """Train a started head in place; returns the loss of every step.

    The loss (the head's own) sees the manipulated queries, and as candidates the batch's targets and the unchanged
    queries: whatever carries the same labels as a target is no negative of it.

    Args:
        head: after `ManipulationHead.start`.
        embeddings: N×A×D attribute embeddings of the training set, L2-normalised.
        carried: N×ΣM bool.
        known: N×A bool.
        steps: optimisation steps.
        batch: manipulations per step.
        learning_rate: of Adam, falling linearly to zero.
        seed: of everything drawn.
    """
    taxonomy = head.taxonomy
    generator = torch.Generator().manual_seed(seed)
    trained = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if not trained:
        return []
    optimizer = torch.optim.Adam(trained, lr=learning_rate)
    count, losses = len(embeddings), []
    head.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        target = torch.randint(count, (batch,), generator=generator)
        query = _alike(carried, known, target, taxonomy, generator)
        differs = differing(carried[query], carried[target], taxonomy) & known[query] & known[target]
        changed = head.change_batch(embeddings[query], carried[target], differs)
        vectors = head(changed)
        candidates = torch.cat([head(embeddings[target]), head(embeddings[query])])
        same = _same_labels(carried, known, target, torch.cat([target, query]), taxonomy)
        loss = _LOSSES[head.config.loss](vectors, candidates, same, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    head.eval()
    return losses


def contrastive(vectors: Tensor, candidates: Tensor, same: Tensor, generator: torch.Generator) -> Tensor:
    """Cross-entropy of each of B queries against its target, the b-th candidate, among all (ours).

    Args:
        vectors: B×r, changed queries.
        candidates: N×r, the B targets first.
        same: B×N bool, candidates with the labels of the query's target; they are no negatives.
        generator: not needed here.
    """
    rows = torch.arange(len(vectors))
    others = same.clone()
    others[rows, rows] = False
    scores = vectors @ candidates.T / _TEMPERATURE
    return F.cross_entropy(scores.masked_fill(others.to(scores.device), float("-inf")), rows.to(scores.device))


def soft_triplets(vectors: Tensor, candidates: Tensor, same: Tensor, generator: torch.Generator) -> Tensor:
    """FashionSearchNet's L_G: the mean soft triplet of the distances to the target and to a random negative.

    A query whose candidates all have its target's labels has no negative, and no loss. Arguments as of `contrastive`.
    """
    chances = (~same).float()
    rows = chances.any(1).nonzero()[:, 0]
    if not len(rows):
        return vectors.sum() * 0
    negative = torch.multinomial(chances[rows], 1, generator=generator)[:, 0].to(vectors.device)
    rows = rows.to(vectors.device)
    near = (vectors[rows] - candidates[rows]).norm(dim=1)
    far = (vectors[rows] - candidates[negative]).norm(dim=1)
    return soft_triplet(near, far).mean()


_LOSSES = {"contrastive": contrastive, "soft_triplet": soft_triplets}


def differing(first: Tensor, second: Tensor, taxonomy: Taxonomy) -> Tensor:
    """Two …×ΣM label sets -> …×A bool: the attributes in which they differ."""
    unequal = first != second
    spans = [taxonomy.span(n) for n in range(len(taxonomy.attributes))]
    return torch.stack([unequal[..., span].any(-1) for span in spans], -1)


def _alike(carried: Tensor, known: Tensor, target: Tensor, taxonomy: Taxonomy, generator: torch.Generator) -> Tensor:
    """For each target the item of a random pool that differs from it in the fewest attributes, but in one at least."""
    pool = torch.randint(len(carried), (len(target), _POOL), generator=generator)
    unequal = differing(carried[pool], carried[target][:, None], taxonomy) & known[pool] & known[target][:, None]
    number = unequal.sum(-1)
    return pool.gather(1, torch.where(number > 0, number, 10**6).argmin(1, keepdim=True))[:, 0]


def _same_labels(carried: Tensor, known: Tensor, target: Tensor, other: Tensor, taxonomy: Taxonomy) -> Tensor:
    """T×O bool: no attribute that both are labelled for differs."""
    unequal = differing(carried[target][:, None], carried[other][None], taxonomy)
    return ~(unequal & known[target][:, None] & known[other][None]).any(-1)

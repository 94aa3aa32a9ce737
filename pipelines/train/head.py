"""Training of the manipulation memory and the global head on a frozen encoder (design 2 §5, ours).

Instead of looking for an item that happens to have the target's attributes, the target is drawn first: an item t,
then an item q that shares much with it. The manipulation is whatever differs, so the target combination exists by
construction, and changes of several attributes at once are trained as they come.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.manipulation import GlobalHead
from model.taxonomy import Taxonomy

_POOL = 64  # random items among which the most alike becomes q
_TEMPERATURE = 0.05


def train_head(
    head: GlobalHead,
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

    The loss is cross-entropy of the manipulated query against its target among the batch's targets and the
    unchanged queries: whatever carries the same labels as the target is no negative.

    Args:
        head: after `GlobalHead.start`.
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
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate)
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
        scores = vectors @ candidates.T / _TEMPERATURE
        same = _same_labels(carried, known, target, torch.cat([target, query]), taxonomy)
        same[torch.arange(batch), torch.arange(batch)] = False
        loss = F.cross_entropy(scores.masked_fill(same, float("-inf")), torch.arange(batch, device=scores.device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    head.eval()
    return losses


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

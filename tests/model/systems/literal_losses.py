"""The systems' objectives, word for word and slowly: one triplet, one image and attribute at a time, in float64.

Numbers are those of the papers (design 2), not of the settings: a setting that is not the paper's is a difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from model.systems.fashionsearchnet import FashionSearchNet
from tests.model.networks import TAXONOMY

from .cases import COUNT, Case

Terms = dict[str, Tensor]
Cost = Callable[[Tensor, Tensor, Tensor], Tensor]
ZERO = torch.zeros((), dtype=torch.float64)


def cosine(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum() / first.norm() / second.norm()


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean, of the vectors scaled to norm 1."""
    return (first / first.norm() - second / second.norm()).norm()


def hinge(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """max(0, 0.2 + s(a, n) − s(a, p)) (design 2 §2)."""
    return max(ZERO, 0.2 + cosine(anchor, negative) - cosine(anchor, positive))


def euclidean_hinge(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """max(0, 0.2 + d(a, p) − d(a, n)): CSN's original form."""
    return max(ZERO, 0.2 + distance(anchor, positive) - distance(anchor, negative))


def soft_triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """(d+)², d± the softmax of the two distances (design 2 §5), which are three times those of unit vectors."""
    near, far = torch.exp(3 * distance(anchor, positive)), torch.exp(3 * distance(anchor, negative))
    return (near / (near + far)) ** 2


def rows(case: Case) -> Iterator[tuple[int, int, int, int]]:
    """Image of the anchor, its class, row of the positive or −1, image of the negative; without negative no row."""
    for anchor, m, positive, negative in zip(*(column.tolist() for column in vars(case.roles).values()), strict=True):
        if negative >= 0:
            yield anchor, m, positive, negative


def instance(case: Case, cost: Cost) -> Tensor:
    """Mean over (anchor, positive, negative), in the space of the class' attribute."""
    costs = []
    for anchor, m, positive, negative in rows(case):
        if positive >= 0:
            space = case.embeddings[:, TAXONOMY.attribute_of_class[m]]
            costs.append(cost(space[anchor], space[int(case.roles.anchor[positive])], space[negative]))
    return torch.stack(costs).mean()


def prototype(case: Case, cost: Cost) -> Tensor:
    """Mean over (anchor, centre of its class, negative); 0 for a class not seen yet."""
    costs = []
    for anchor, m, _, negative in rows(case):
        space = case.embeddings[:, TAXONOMY.attribute_of_class[m]]
        costs.append(cost(space[anchor], case.centres[m], space[negative]) if case.seen[m] else ZERO)
    return torch.stack(costs).mean()


def cross_entropy(case: Case, scores: Tensor, weight: float = 1.0, *, softmax: bool = True) -> Tensor:
    """Of the classes, mean over labelled (image, attribute) pairs; ``weight``: w_p of binary positives.

    −log softmax where an item has one class (with ``softmax``), else a binary cross-entropy for each class.
    """
    parts = []
    for i in range(len(scores)):
        for n, attribute in enumerate(TAXONOMY.attributes):
            if not case.known[i, n]:
                continue
            classes = range(TAXONOMY.offsets[n], TAXONOMY.offsets[n + 1])
            if attribute.multi_label or not softmax:
                for m in classes:
                    p = 1 / (1 + torch.exp(-scores[i, m]))
                    parts.append(-weight * torch.log(p) if case.carried[i, m] else -torch.log(1 - p))
            else:
                total = sum((torch.exp(scores[i, m]) for m in classes), ZERO)
                parts += [-torch.log(torch.exp(scores[i, m]) / total) for m in classes if case.carried[i, m]]
    return torch.stack(parts).sum() / int(case.known.sum())


def literal_triplet(case: Case) -> Terms:
    """The triplet network, the ASEN family, AttnFashion."""
    return {"classification": ZERO, "prototype": ZERO, "instance": instance(case, hinge)}


def literal_cross_entropy(case: Case, *, triplets: bool, weight: float = 1.0, softmax: bool = True) -> Terms:
    """The classifier and `posterior`; with triplets AMNet."""
    return {
        "classification": cross_entropy(case, case.scores, weight, softmax=softmax),
        "prototype": ZERO,
        "instance": instance(case, hinge) if triplets else ZERO,
    }


def literal_csn(case: Case, *, original: bool) -> Terms:
    """Original: loss + 5e-3·‖E‖_F/√B + 5e-4·‖mask‖_1/B, the mean over attributes being an image's mask."""
    if not original:
        return {**literal_triplet(case), "embedding_norm": ZERO, "mask_norm": ZERO}
    vectors, masks = case.state
    images = len(vectors)
    squares = sum((value**2 for row in vectors for value in row), ZERO)
    used = sum((value.abs() / COUNT for _ in range(images) for mask in masks for value in mask), ZERO)
    return {
        "classification": ZERO,
        "prototype": ZERO,
        "instance": instance(case, euclidean_hinge),
        "embedding_norm": 5e-3 * torch.sqrt(squares) / math.sqrt(images),
        "mask_norm": 5e-4 * used / images,
    }


def literal_fashionsearchnet(case: Case, net: FashionSearchNet, *, ranked: bool, first: bool) -> Terms:
    """L_C; L_C + 1.5 L_T + L_TC, L_TC of each attribute's head on its region's vector."""
    scores = torch.zeros_like(case.scores)
    for n, head in enumerate(net.region_heads):
        assert isinstance(head, nn.Linear)
        for i in range(len(scores)):
            for m in range(head.out_features):
                scores[i, TAXONOMY.offsets[n] + m] = (head.weight[m] * case.embeddings[i, n]).sum() + head.bias[m]
    return {
        "classification": cross_entropy(case, case.scores),
        "prototype": ZERO,
        "instance": 1.5 * instance(case, soft_triplet) if ranked and not first else ZERO,
        "regions": ZERO if first else cross_entropy(case, scores),
    }


def literal_modc(case: Case) -> Terms:
    """Prototype and instance triplets, and of the unlabelled: nearest centre against next nearest (design 2 §3).

    The last is divided by all anchors, labelled or not.
    """
    costs, labelled = [], sum(1 for _ in rows(case))
    for i in range(len(case.embeddings)):
        for n in range(COUNT):
            if case.known[i, n]:
                continue
            classes = [m for m in range(TAXONOMY.offsets[n], TAXONOMY.offsets[n + 1]) if case.seen[m]]
            near = sorted(classes, key=lambda m, u=case.embeddings[i, n]: -float(cosine(u, case.centres[m]).detach()))  # type: ignore[misc]
            centres = [case.centres[m] for m in near[:2]]
            costs.append(hinge(case.embeddings[i, n], *centres) if len(centres) == 2 else ZERO)
    return {
        "classification": ZERO,
        "prototype": prototype(case, hinge),
        "instance": instance(case, hinge),
        "pseudo": torch.stack(costs).sum() / (labelled + len(costs)),
    }


def literal_asen_pp(case: Case, *, first: bool) -> Terms:
    """L_g; L_g + 0.1 L_l + 0.1 Σ(1 − cos(g, l)), the sum over a triplet's three images (design 2 §2)."""
    half = case.embeddings.shape[2] // 2
    if first:
        return {
            "classification": ZERO,
            "prototype": ZERO,
            "instance": instance(case, lambda *three: hinge(*(v[:half] for v in three))),
            "alignment": ZERO,
        }
    pairs = case.known.nonzero().tolist()
    apart = sum((1 - cosine(case.embeddings[i, n, :half], case.embeddings[i, n, half:]) for i, n in pairs), ZERO)
    return {
        "classification": ZERO,
        "prototype": ZERO,
        "instance": instance(case, lambda *three: hinge(*(v[:half] for v in three)))
        + 0.1 * instance(case, lambda *three: hinge(*(v[half:] for v in three))),
        "alignment": 0.1 * 3 * apart / len(pairs),
    }


def literal_agman(case: Case, weights: Tensor, *, branch: bool) -> Terms:
    """Σ_i ½ e^{−w_i} L_i + ½ w_i, w = 3·tanh(parameter/3): triplets, and which attributes an image is labelled for."""
    w = [3 * torch.tanh(weight / 3) for weight in weights.double()]
    logits = case.state[0]
    costs = []
    for i in range(len(logits)):
        for n in range(COUNT):
            p = 1 / (1 + torch.exp(-logits[i, n]))
            costs.append(-torch.log(p if case.known[i, n] else 1 - p))
    return {
        "classification": ZERO,
        "prototype": ZERO,
        "instance": 0.5 * torch.exp(-w[0]) * instance(case, hinge),
        "branch": 0.5 * torch.exp(-w[1]) * torch.stack(costs).mean() if branch else ZERO,
        "weights": 0.5 * (w[0] + w[1]) if branch else 0.5 * w[0],
    }

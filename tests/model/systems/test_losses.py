"""What systems' own losses do beyond `Objective`'s."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from model.encoder import AttributeOutput
from model.objective import Counts, Roles
from model.systems import SYSTEMS, build_objective
from model.systems.agman import AGMANObjective
from model.systems.csn import CSNObjective
from model.systems.modc import MODCObjective
from tests.model.networks import TAXONOMY, encoder

COUNT = len(TAXONOMY.attributes)
NOBODY = torch.zeros(0, dtype=torch.int64)


def csn_original() -> CSNObjective:
    objective = build_objective(SYSTEMS["csn"].losses, encoder("csn", "original"))
    assert isinstance(objective, CSNObjective)
    return objective


def test_csn_is_content_only_with_orders_that_the_search_has() -> None:
    """Far from a, n is the nearer of the two by cosine, and the index goes by that."""
    a, p, n = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.9]]), torch.tensor([[3.0, 0.0]])
    objective = csn_original()
    assert F.cosine_similarity(a, n) > F.cosine_similarity(a, p)
    torch.testing.assert_close(objective.triplet(a, p, n), 0.2 + (a - F.normalize(p)).norm(dim=1))
    generator = torch.Generator().manual_seed(0)
    anchor, positive, negative = torch.randn(3, 500, 8, generator=generator) * torch.rand(500, 1, generator=generator)
    hinge = objective.triplet(anchor, positive, negative)
    searched = F.cosine_similarity(anchor, positive) > F.cosine_similarity(anchor, negative)
    assert searched[hinge < 0.2 - 1e-4].all() and not searched[hinge > 0.2 + 1e-4].any()
    torch.testing.assert_close(objective.triplet(anchor * 5, positive, negative / 3), hinge)


def test_csn_distance_has_a_gradient_at_equal_vectors() -> None:
    vector = torch.ones(1, 4, requires_grad=True)
    csn_original().triplet(vector, vector * 1.0, torch.randn(1, 4)).sum().backward()
    assert vector.grad is not None and vector.grad.isfinite().all()


def modc(images: int = 6) -> tuple[MODCObjective, AttributeOutput, torch.Tensor]:
    """Centres of all classes but the last two seen; ``known`` leaves out a third."""
    net = encoder("modc")
    objective = build_objective(SYSTEMS["modc"].losses, net)
    assert isinstance(objective, MODCObjective)
    torch.manual_seed(1)
    objective.prototypes.average.normal_()
    objective.prototypes.seen[:-2] = True  # so nothing of the last attribute
    embeddings = torch.randn(images, COUNT, net.width)
    known = torch.rand(images, COUNT) > 1 / 3
    return objective, AttributeOutput(embeddings, torch.zeros(images, TAXONOMY.class_count)), known


def test_modc_unlabelled_images_join_their_nearest_centre() -> None:
    objective, output, known = modc()
    centres, seen = objective.prototypes(), objective.prototypes.seen
    sums, counts = torch.zeros_like(centres), torch.zeros(len(centres))
    for b, n in (~known).nonzero().tolist():
        span = TAXONOMY.span(n)
        classes = [m for m in range(span.start, span.stop) if seen[m]]
        if len(classes) >= 2:
            unit = F.normalize(output.embeddings[b, n], dim=0)
            nearest = max(classes, key=lambda m, unit=unit: float(unit @ centres[m]))  # type: ignore[misc]
            sums[nearest] += unit
            counts[nearest] += 1
    assert counts.sum() >= 2 and (counts > 0).sum() >= 2
    carried = torch.zeros(len(known), TAXONOMY.class_count, dtype=torch.bool)
    roles = Roles(NOBODY, NOBODY, NOBODY, NOBODY)
    losses = objective(encoder("modc"), output, carried, known, roles, Counts(len(known), int(known.sum()), 0, 0))
    torch.testing.assert_close(losses.prototype_sums, sums)
    torch.testing.assert_close(losses.prototype_counts, counts)


def test_modc_labelled_anchors_still_count() -> None:
    objective, output, _ = modc()
    known = torch.ones(len(output.embeddings), COUNT, dtype=torch.bool)
    carried = torch.zeros(len(known), TAXONOMY.class_count, dtype=torch.bool)
    roles = Roles(torch.tensor([0, 1]), torch.tensor([2, 2]), torch.tensor([1, 0]), torch.tensor([-1, -1]))
    losses = objective(encoder("modc"), output, carried, known, roles, Counts(len(known), int(known.sum()), 0, 0))
    assert losses.prototype_counts.nonzero().tolist() == [[2]] and losses.prototype_counts[2] == 2
    assert losses.terms["pseudo"] == 0


def agman(log_variance: float) -> tuple[AGMANObjective, dict[str, torch.Tensor]]:
    """Loss weights at w, and the terms of a batch whose branch says 0 of every attribute."""
    net = encoder("agman")
    objective = build_objective(SYSTEMS["agman"].losses, net)
    assert isinstance(objective, AGMANObjective)
    with torch.no_grad():
        objective.log_variance.fill_(log_variance)
    output = AttributeOutput(
        torch.ones(2, COUNT, net.width), torch.zeros(2, TAXONOMY.class_count), (torch.zeros(2, COUNT),)
    )
    carried = torch.zeros(2, TAXONOMY.class_count, dtype=torch.bool)
    known = torch.tensor([[True, False, True], [False, True, True]])
    roles = Roles(NOBODY, NOBODY, NOBODY, NOBODY)
    return objective, dict(objective(net, output, carried, known, roles, Counts(2, 4, 0, 0)).terms)


@pytest.mark.parametrize("w", [-50.0, -1.0, 0.0, 2.0, 50.0])
def test_agman_weights_stay_in_their_range(w: float) -> None:
    """However small a loss is, its weight is at most ½e³; at 0 the weights are the printed ones."""
    objective, terms = agman(w)
    bounded = 3 * math.tanh(w / 3)
    assert terms["branch"].item() == pytest.approx(0.5 * math.exp(-bounded) * math.log(2), rel=1e-5)
    assert terms["weights"].item() == pytest.approx(bounded, rel=1e-5)
    assert 0.5 * math.exp(-3.001) < terms["branch"].item() / math.log(2) < 0.5 * math.exp(3.001)
    if abs(w) <= 2:
        terms["branch"].backward()
        assert objective.log_variance.grad is not None and objective.log_variance.grad[1] < 0

"""Cross-entropy by hand."""

from __future__ import annotations

import math

import pytest
import torch

from model.cross_entropy import CrossEntropyObjective
from model.encoder import AttributeOutput
from model.heads import softmax_logits
from model.objective import ObjectiveConfig
from tests.model.networks import TAXONOMY, network

WIDTH = 256


def loss_of(
    scores: torch.Tensor, carried: list[int], known: tuple[int, int, int], *, smoothing: float = 0, weight: float = 1
) -> float:
    config = ObjectiveConfig(prototype=0, instance=0, smoothing=smoothing, positive_weight=weight)
    labels = torch.zeros(1, TAXONOMY.class_count, dtype=torch.bool)
    labels[0, carried] = True
    output = AttributeOutput(torch.zeros(1, 3, WIDTH), softmax_logits(scores, TAXONOMY))
    objective = CrossEntropyObjective(config, network("m3net_a"))
    return float(objective.classification(output, labels, torch.tensor([known], dtype=torch.bool)))


def test_softmax_where_an_item_has_one_class_binary_elsewhere_nothing_where_it_is_unknown() -> None:
    scores = torch.arange(TAXONOMY.class_count).float()[None] / 2
    collar = math.log(sum(math.exp(s) for s in (0, 0.5, 1))) - 0.5
    details = sum(math.log1p(math.exp(-m / 2 if m in (3, 6) else m / 2)) for m in range(3, 7))
    size = math.log(sum(math.exp(s) for s in (3.5, 4))) - 4
    for known, expected in (((1, 1, 1), collar + details + size), ((1, 0, 1), collar + size), ((0, 1, 0), details)):
        assert loss_of(scores, [1, 3, 6, 8], known) == pytest.approx(expected, rel=1e-5)


def test_smoothing_moves_mass_to_every_class() -> None:
    scores = torch.zeros(1, TAXONOMY.class_count)
    scores[0, 0] = 2.0
    total = math.log(math.e**2 + 2)
    assert loss_of(scores, [0], (1, 0, 0)) == pytest.approx(total - 2, rel=1e-5)
    # 0.7 and a third of 0.3 on the class; another third on each of the two others, whose score is 0.
    assert loss_of(scores, [0], (1, 0, 0), smoothing=0.3) == pytest.approx(total - 2 * 0.8, rel=1e-5)


def test_the_weight_is_of_binary_positives() -> None:
    scores = torch.zeros(1, TAXONOMY.class_count)
    assert loss_of(scores, [3], (0, 1, 0), weight=5) == pytest.approx(8 * math.log(2))  # 5 + 1 + 1 + 1
    assert loss_of(scores, [1], (1, 0, 0), weight=5) == pytest.approx(math.log(3))


@pytest.mark.parametrize("gap", [0.0, 3.0, 30.0, 80.0])
def test_logits_are_exact_however_sure(gap: float) -> None:
    """The likeliest class' 1 − p is far below float32's rounding of 1."""
    scores = torch.zeros(1, TAXONOMY.class_count)
    scores[0, 1] = gap
    logits = softmax_logits(scores, TAXONOMY)
    assert float(logits[0, 1]) == pytest.approx(gap - math.log(2), rel=1e-5)
    other = -math.log1p(math.exp(gap))  # log p − log(1 − p) = 0 − log(1 + e^gap)
    assert float(logits[0, 0]) == pytest.approx(other, rel=1e-5)


def test_gradients_are_the_softmax_cross_entropys() -> None:
    torch.manual_seed(0)
    scores = (torch.randn(1, TAXONOMY.class_count, dtype=torch.float64) * 4).requires_grad_()
    span = TAXONOMY.span(0)
    (mine,) = torch.autograd.grad(-torch.nn.functional.logsigmoid(softmax_logits(scores, TAXONOMY)[0, 1]), scores)
    (theirs,) = torch.autograd.grad(torch.nn.functional.cross_entropy(scores[:, span], torch.tensor([1])), scores)
    torch.testing.assert_close(mine, theirs)

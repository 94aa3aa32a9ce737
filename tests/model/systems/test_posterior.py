"""Class posteriors as embeddings, against sums written out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from model.duet import encode
from model.encoder import AttributeOutput, asked
from model.objective import Objective, ObjectiveConfig
from model.systems.posterior import Posterior, PosteriorObjective
from tests.model.networks import TAXONOMY, encoder, pictures


def network() -> Posterior:
    net = encoder("posterior")
    assert isinstance(net, Posterior)
    with torch.no_grad():
        for head in net.heads:
            head[-1].scale.fill_(40.0)  # type: ignore[union-attr]  # sure of something, and multi-label sums exceed 1
            head[-1].bias.fill_(0.0)  # type: ignore[union-attr]
    return net


def test_a_product_is_the_probability_of_a_shared_class() -> None:
    net, images = network(), pictures(6)
    duet = encode(net, images)
    vectors = duet.attribute_embeddings.numpy()
    queries = asked(vectors, net.slack)
    clipped = False
    for n, attribute in enumerate(TAXONOMY.attributes):
        for q in range(len(images)):
            for c in range(len(images)):
                expected = 0.0
                norms = [1.0, 1.0]
                for place, i in enumerate((q, c)):
                    total = sum(float(duet.probabilities[i, m]) ** 2 for m in _indices(n))
                    norms[place] = max(1.0, math.sqrt(total))
                for m in _indices(n):
                    expected += float(duet.probabilities[q, m]) * float(duet.probabilities[c, m])
                if attribute.multi_label:
                    clipped |= max(norms) > 1
                    expected /= norms[0] * norms[1]
                assert float(queries[q, n] @ vectors[c, n]) == pytest.approx(expected, abs=1e-5)
    assert clipped, "no multi-label item was sure of several classes, so that its scaling was not seen"


def test_embeddings_are_unit_vectors_and_probabilities_of_one_class_sum_to_one() -> None:
    duet = encode(network(), pictures(6))
    torch.testing.assert_close(duet.attribute_embeddings.norm(dim=2), torch.ones(6, len(TAXONOMY.attributes)))
    for n, attribute in enumerate(TAXONOMY.attributes):
        if not attribute.multi_label:
            torch.testing.assert_close(duet.probabilities[:, TAXONOMY.span(n)].sum(1), torch.ones(6))


def test_the_loss_by_hand() -> None:
    """Softmax cross-entropy where an item has one class, binary where it may have more, nothing where it is unknown."""
    net = network()
    scores = torch.arange(TAXONOMY.class_count).float()[None] / 2
    output = AttributeOutput(torch.zeros(1, 3, net.width), torch.zeros_like(scores), (scores,))
    carried = torch.zeros(1, TAXONOMY.class_count, dtype=torch.bool)
    carried[0, [1, 3, 6, 8]] = True
    collar = math.log(sum(math.exp(s) for s in (0, 0.5, 1))) - 0.5
    details = sum(math.log1p(math.exp(-s if m in (3, 6) else s)) for m, s in ((m, m / 2) for m in range(3, 7)))
    size = math.log(sum(math.exp(s) for s in (3.5, 4))) - 4
    objective = PosteriorObjective(ObjectiveConfig(prototype=0, instance=0), net)
    for known, expected in (((1, 1, 1), collar + details + size), ((1, 0, 1), collar + size), ((0, 1, 0), details)):
        loss = objective.classification(output, carried, torch.tensor([known], dtype=torch.bool))
        assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_switches_are_m3nets_ways() -> None:
    net, other = network(), encoder("posterior", "without_posterior")
    assert other.class_first and not other.slack and not net.class_first
    m3net = encoder("m3net_a")
    other.load_state_dict(m3net.state_dict())
    first, second = (each.attributes(pictures(2)) for each in (other, m3net))
    assert torch.equal(first.embeddings, second.embeddings)
    binary = PosteriorObjective(ObjectiveConfig(prototype=0, instance=0), encoder("posterior", "without_softmax"))
    carried, known = torch.zeros(1, TAXONOMY.class_count, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
    output = AttributeOutput(first.embeddings[:1], m3net.attributes(pictures(1)).logits, (second.logits[:1],))
    torch.testing.assert_close(
        binary.classification(output, carried, known),
        Objective(ObjectiveConfig(), m3net).classification(output, carried, known),
    )


def test_smoothing_moves_mass_to_every_class() -> None:
    net = network()
    scores = torch.zeros(1, TAXONOMY.class_count)
    scores[0, 0] = 2.0
    output = AttributeOutput(torch.zeros(1, 3, net.width), torch.zeros_like(scores), (scores,))
    carried = torch.zeros(1, TAXONOMY.class_count, dtype=torch.bool)
    carried[0, 0] = True
    known = torch.tensor([[True, False, False]])
    config = ObjectiveConfig(prototype=0, instance=0, smoothing=0.3)
    sharp, smooth = (
        float(PosteriorObjective(replace(config, smoothing=share), net).classification(output, carried, known))
        for share in (0.0, 0.3)
    )
    assert sharp == pytest.approx(math.log(math.e**2 + 2) - 2, rel=1e-5)
    assert smooth == pytest.approx(math.log(math.e**2 + 2) - 2 * (0.7 + 0.1), rel=1e-5)


def test_a_sure_posterior_has_finite_gradients() -> None:
    net = network().train()
    with torch.no_grad():
        for head in net.heads:
            head[-1].scale.fill_(1e4)  # type: ignore[union-attr]
    output = net.attributes(pictures(4))
    (output.embeddings.sum() * 0 + output.logits.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def _indices(n: int) -> range:
    span = TAXONOMY.span(n)
    return range(span.start, span.stop)

"""Class posteriors as embeddings, against sums written out."""

from __future__ import annotations

import math

import pytest
import torch

from model.duet import encode
from model.encoder import AttributeOutput, ClassPairs, asked
from model.objective import Objective, ObjectiveConfig
from model.systems.posterior import Posterior, PosteriorObjective
from tests.model.networks import TAXONOMY, encoder, pictures
from tests.model.test_objective import batch, counts_of, roles_of


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


def test_switches_are_m3nets_ways() -> None:
    net, other = network(), encoder("posterior", "without_posterior")
    assert other.class_first and not other.slack and not net.class_first
    m3net = encoder("m3net")
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


def test_its_class_level_is_m3nets_and_is_trained_as_such() -> None:
    """Of the same weights: class embeddings, and the triplet terms in class space with their prototypes' sums."""
    net, m3net = encoder("posterior"), encoder("m3net")
    net.load_state_dict(m3net.state_dict())
    config = ObjectiveConfig(prototype=0.7, instance=1.3)
    images, carried, known = batch()
    roles = roles_of(carried, known)
    results = []
    for each, objective in ((net, PosteriorObjective(config, net)), (m3net, Objective(config, m3net))):
        torch.manual_seed(1)
        objective.prototypes.average.normal_()
        objective.prototypes.seen[:] = True
        output = each.attributes(images)
        pairs = ClassPairs(*carried.nonzero(as_tuple=True))
        losses = objective(each, output, carried, known, roles, counts_of(known, roles))
        results.append((each.classes(output, pairs), losses))
    (mine, losses), (theirs, expected) = results
    assert torch.equal(mine, theirs) and net.class_width == 256 > net.width
    for term in ("prototype", "instance"):
        assert losses.terms[term] == expected.terms[term] > 0
    assert torch.equal(losses.prototype_sums, expected.prototype_sums)
    alone = encoder("posterior", "without_classes")
    assert PosteriorObjective(config, alone).config == ObjectiveConfig(prototype=0, instance=0)


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

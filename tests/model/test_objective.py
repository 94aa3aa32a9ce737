from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from model.encoder import AttributeOutput, ClassPairs
from model.errors import EncoderError
from model.objective import Counts, Losses, Objective, ObjectiveConfig, Roles, label_ratio
from model.systems.m3net import M3Net

from .networks import TAXONOMY, network, pictures

OF_CLASS = torch.tensor(TAXONOMY.attribute_of_class)


def batch(count: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, labels and known attributes: single-label columns have one class, some labels are missing."""
    generator = torch.Generator().manual_seed(seed)
    carried = torch.zeros(count, TAXONOMY.class_count, dtype=torch.bool)
    known = torch.rand(count, 3, generator=generator) < 0.8
    for n, attribute in enumerate(TAXONOMY.attributes):
        span, size = TAXONOMY.span(n), len(attribute.classes)
        if attribute.multi_label:
            carried[:, span] = torch.rand(count, size, generator=generator) < 0.5
            known[:, n] &= carried[:, span].any(1)
        else:
            carried[:, span] = F.one_hot(torch.randint(size, (count,), generator=generator), size).bool()
        carried[:, span] &= known[:, n, None]
    return pictures(count, seed=seed), carried, known


def roles_of(carried: Tensor, known: Tensor) -> Roles:
    """The first possible positive and negative of every (image, class), by loops."""
    anchor, class_index = carried.nonzero(as_tuple=True)
    positive, negative = [], []
    for i, m in zip(anchor.tolist(), class_index.tolist(), strict=True):
        rows = [t for t in range(len(anchor)) if class_index[t] == m and anchor[t] != i]
        others = [j for j in range(len(carried)) if known[j, OF_CLASS[m]] and not carried[j, m]]
        positive.append(rows[0] if rows else -1)
        negative.append(others[0] if others else -1)
    return Roles(anchor, class_index, torch.tensor(positive), torch.tensor(negative))


def counts_of(known: Tensor, roles: Roles) -> Counts:
    with_negative = roles.negative >= 0
    return Counts(
        len(known), int(known.sum()), int(with_negative.sum()), int((with_negative & (roles.positive >= 0)).sum())
    )


def literal(
    net: M3Net, objective: Objective, images: Tensor, carried: Tensor, known: Tensor, roles: Roles
) -> list[float]:
    """Eq. 7–11 by loops, for one worker."""
    config, prototypes = objective.config, objective.prototypes
    output = net.attributes(images)

    def vector(i: int, m: int) -> Tensor:
        if net.has_classes:
            return F.normalize(net.classes(output, ClassPairs(torch.tensor([i]), torch.tensor([m])))[0], dim=0)
        return F.normalize(output.embeddings[i, OF_CLASS[m]], dim=0)

    classification = 0.0
    for i in range(len(images)):
        for m in range(TAXONOMY.class_count):
            if known[i, OF_CLASS[m]]:
                p = torch.sigmoid(output.logits[i, m].double())
                term = config.positive_weight * torch.log(p) if carried[i, m] else torch.log(1 - p)
                classification -= float(term.detach())
    near, instance, anchors, triplets = 0.0, 0.0, 0, 0
    for i, m, positive, negative in zip(*(v.tolist() for v in vars(roles).values()), strict=True):
        if negative < 0:
            continue
        anchor, away = vector(i, m), 1 - vector(i, m) @ vector(negative, m)
        anchors += 1
        if prototypes.seen[m]:
            center = prototypes.average[m] / prototypes.average[m].norm()
            near += max(0.0, float(((1 - anchor @ center) - away + config.margin).detach()))
        if positive >= 0:
            triplets += 1
            partner = vector(int(roles.anchor[positive]), m)
            instance += max(0.0, float(((1 - anchor @ partner) - away + config.margin).detach()))
    weights = (config.classification, config.prototype, config.instance)
    sums = (classification / int(known.sum()), near / max(anchors, 1), instance / max(triplets, 1))
    return [weight * value for weight, value in zip(weights, sums, strict=True)]


@pytest.mark.parametrize("system", ["m3net", "m3net_a", "m3net_c"])
def test_agrees_with_literal(system: str) -> None:
    net = network(system)
    objective = Objective(ObjectiveConfig(prototype=0.7, instance=1.3, positive_weight=3.0), net)
    torch.manual_seed(1)
    objective.prototypes.average.normal_()
    objective.prototypes.seen[:] = torch.arange(TAXONOMY.class_count) % 3 != 0
    images, carried, known = batch()
    roles = roles_of(carried, known)
    assert (roles.negative >= 0).any() and (roles.positive >= 0).any()
    losses = objective(net, net.attributes(images), carried, known, roles, counts_of(known, roles))
    expected = literal(net, objective, images, carried, known, roles)
    for value, wanted in zip(losses.terms.values(), expected, strict=True):
        assert float(value.detach()) == pytest.approx(wanted, rel=1e-4)


def test_shares_of_workers_add_up() -> None:
    net, (images, carried, known) = network(), batch(12)
    objective = Objective(ObjectiveConfig(), net)
    objective.prototypes.average.normal_(generator=torch.Generator().manual_seed(0))
    objective.prototypes.seen[:] = True
    parts = [slice(0, 4), slice(4, 12)]  # two groups on two workers; roles stay within a group
    local = [roles_of(carried[part], known[part]) for part in parts]
    each = [counts_of(known[part], roles) for part, roles in zip(parts, local, strict=True)]
    counts = Counts(*(sum(getattr(c, name) for c in each) for name in ("images", "labels", "anchors", "triplets")))

    def losses(part: slice, roles: Roles) -> Losses:
        return objective(net, net.attributes(images[part]), carried[part], known[part], roles, counts)

    apart = [losses(part, roles) for part, roles in zip(parts, local, strict=True)]
    rows = len(local[0].anchor)
    joined = Roles(
        torch.cat([local[0].anchor, local[1].anchor + 4]),
        torch.cat([local[0].class_index, local[1].class_index]),
        torch.cat([local[0].positive, torch.where(local[1].positive >= 0, local[1].positive + rows, -1)]),
        torch.cat([local[0].negative, torch.where(local[1].negative >= 0, local[1].negative + 4, -1)]),
    )
    whole = losses(slice(0, 12), joined)
    torch.testing.assert_close(sum(part.total for part in apart), whole.total)
    torch.testing.assert_close(apart[0].prototype_sums + apart[1].prototype_sums, whole.prototype_sums)
    torch.testing.assert_close(apart[0].prototype_counts + apart[1].prototype_counts, whole.prototype_counts)


def test_missing_labels_are_masked() -> None:
    net, (images, carried, known) = network(), batch()
    objective = Objective(ObjectiveConfig(prototype=0, instance=0), net)
    output = net.attributes(images)
    roles = roles_of(carried, known)
    known[:, 1] = False
    before = objective(net, output, carried, known, roles, counts_of(known, roles)).total
    carried[:, TAXONOMY.span(1)] = ~carried[:, TAXONOMY.span(1)]
    after = objective(net, output, carried, known, roles, counts_of(known, roles)).total
    assert float(before.detach()) == float(after.detach())


def test_positive_weight_raises_the_cost_of_a_missed_label_alone() -> None:
    net = network()
    light, heavy = (Objective(ObjectiveConfig(positive_weight=w), net) for w in (1.0, 5.0))
    says_nothing = AttributeOutput(torch.zeros(1, 3, net.width), torch.zeros(1, TAXONOMY.class_count))
    known = torch.ones(1, 3, dtype=torch.bool)
    nothing, everything = (torch.full((1, TAXONOMY.class_count), value, dtype=torch.bool) for value in (False, True))
    assert float(heavy.classification(says_nothing, nothing, known)) == pytest.approx(9 * math.log(2))
    assert float(light.classification(says_nothing, everything, known)) == pytest.approx(9 * math.log(2))
    assert float(heavy.classification(says_nothing, everything, known)) == pytest.approx(45 * math.log(2))


def test_label_ratio_by_hand() -> None:
    carried = torch.zeros(4, TAXONOMY.class_count, dtype=torch.bool)
    known = torch.tensor([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    carried[0, 0] = carried[1, 0] = carried[2, 1] = True  # ratios 1/2 and 2/1; the third class is carried by nobody
    weights = label_ratio(carried, known, OF_CLASS)
    torch.testing.assert_close(weights[:3], torch.full((3,), 1.25))
    torch.testing.assert_close(weights[3:], torch.ones(6))


def test_ratio_needs_counts() -> None:
    with pytest.raises(EncoderError, match="positive_weight"):
        Objective(ObjectiveConfig(positive_weight=0), network())


@pytest.mark.parametrize("wrong", [{"margin": -1}, {"momentum": 2}, {"instance": -0.1}])
def test_impossible_weights(wrong: dict[str, float]) -> None:
    with pytest.raises(EncoderError):
        ObjectiveConfig(**wrong)

"""Each system's objective agrees with its literal version, in value and gradient; some labels are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from model.encoder import Encoder
from model.objective import Objective
from model.systems import SYSTEMS, build_objective
from model.systems.agman import AGMANObjective
from model.systems.fashionsearchnet import FashionSearchNet
from tests.model.networks import TAXONOMY, encoder, pictures
from tests.model.test_objective import counts_of

from . import literal_losses as literal
from .cases import Case, gradients, losses_of, random_case
from .literal_losses import Terms

SEEDS = range(3)
built = cache(encoder)


def objective_of(net: Encoder, positive_weight: float = 1.0) -> Objective:
    """With its system's own settings."""
    losses = replace(SYSTEMS[net.config.system].losses, positive_weight=positive_weight)
    return build_objective(losses, net)


def assert_same(net: Encoder, objective: Objective, case: Case, expected: Terms, *leaves: Tensor) -> None:
    """Terms, and gradients of their sum by the case's leaves and more; what was measured is 1e-6."""
    losses = losses_of(net, objective, case)
    assert losses.terms.keys() == expected.keys()
    for name, value in losses.terms.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6, msg=lambda m: f"{name}: {m}")  # noqa: B023
    every = (*case.leaves, *leaves)
    found, wanted = (gradients(total, every) for total in (losses.total, sum(expected.values(), literal.ZERO)))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_cases_show_what_they_are_for() -> None:
    """Labels are missing, roles empty, hinges open and shut, a class has no centre."""
    case = random_case(built("modc"))
    assert case.known.any() and not case.known.all() and case.seen.any() and not case.seen.all()
    assert (case.roles.positive < 0).any() and (case.roles.negative < 0).any()
    for cost in (literal.hinge, literal.euclidean_hinge):
        costs: list[float] = []

        def keep(*three: Tensor, cost: Callable[..., Tensor] = cost, costs: list[float] = costs) -> Tensor:
            costs.append(float(cost(*three).detach()))
            return literal.ZERO

        literal.instance(case, keep)
        assert min(costs) == 0 and max(costs) > 0.4


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["triplet", "asen", "asen_v2", "attnfashion"])
def test_triplets(name: str, seed: int) -> None:
    net = built(name)
    case = random_case(net, seed)
    assert_same(net, objective_of(net), case, literal.literal_triplet(case))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "switches"), [("classifier", ()), ("amnet", ()), ("posterior", ("without_classes",))])
def test_cross_entropy(name: str, switches: tuple[str, ...], seed: int) -> None:
    net = built(name, *switches)
    case = random_case(net, seed)
    expected = literal.literal_cross_entropy(case, triplets=name == "amnet", weight=3.0)
    assert_same(net, objective_of(net, 3.0), case, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_posterior_without_softmax(seed: int) -> None:
    net = built("posterior", "without_softmax", "without_classes")
    case = random_case(net, seed)
    assert_same(net, objective_of(net), case, literal.literal_cross_entropy(case, triplets=False, softmax=False))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("switches", [(), ("original",)])
def test_csn(switches: tuple[str, ...], seed: int) -> None:
    net = built("csn", *switches)
    case = random_case(net, seed)
    assert_same(net, objective_of(net), case, literal.literal_csn(case, original=bool(switches)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("switches", [(), ("without_rank",)])
def test_fashionsearchnet(switches: tuple[str, ...], seed: int) -> None:
    net = built("fashionsearchnet", *switches)
    assert isinstance(net, FashionSearchNet)
    case = random_case(net, seed)
    expected = literal.literal_fashionsearchnet(case, net, ranked=not switches, first=False)
    assert_same(net, objective_of(net), case, expected, *net.region_heads.parameters())


def test_fashionsearchnet_learns_classes_alone_at_first() -> None:
    net = encoder("fashionsearchnet").train()
    assert isinstance(net, FashionSearchNet) and net.stage == 0
    case = random_case(net)
    case = replace(case, embeddings=torch.zeros_like(case.embeddings, requires_grad=True))
    expected = literal.literal_fashionsearchnet(case, net, ranked=True, first=True)
    assert_same(net, objective_of(net), case, expected)


def test_fashionsearchnets_classes_are_learned_by_cross_entropy() -> None:
    """L_C of pictures is torch's cross-entropy of the maps' scores; binary cross-entropies of them are another."""
    net = built("fashionsearchnet")
    case = random_case(net)
    output, counts = net.attributes(pictures(len(case.known))), counts_of(case.known, case.roles)
    expected = torch.zeros(())
    for n, attribute in enumerate(TAXONOMY.attributes):
        known, span = case.known[:, n], TAXONOMY.span(n)
        scores, carried = output.state[0][known, span], case.carried[known, span].float()
        expected = expected + (
            F.binary_cross_entropy_with_logits(scores, carried, reduction="sum")
            if attribute.multi_label
            else F.cross_entropy(scores, carried.argmax(1), reduction="sum")
        )
    losses = objective_of(net)(net, output, case.carried, case.known, case.roles, counts)
    torch.testing.assert_close(losses.terms["classification"], expected / counts.labels)
    every = Objective.classification(objective_of(net), output, case.carried, case.known)
    assert abs(float((every - expected).detach())) > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_modc(seed: int) -> None:
    net = built("modc")
    case = random_case(net, seed)
    assert_same(net, objective_of(net), case, literal.literal_modc(case))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("first", [False, True])
def test_asen_pp(first: bool, seed: int) -> None:
    net = built("asen_pp")
    case = random_case(net, seed)
    if first:
        whole, local = case.embeddings.detach().chunk(2, -1)
        case = replace(case, embeddings=torch.cat([whole, torch.zeros_like(local)], -1).requires_grad_())
    assert_same(net, objective_of(net), case, literal.literal_asen_pp(case, first=first))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("switches", [(), ("without_branch",)])
def test_agman(switches: tuple[str, ...], seed: int) -> None:
    net = built("agman", *switches)
    case, objective = random_case(net, seed), objective_of(net)
    assert isinstance(objective, AGMANObjective)
    with torch.no_grad():
        objective.log_variance.copy_(torch.tensor([0.7, -1.9]))
    expected = literal.literal_agman(case, objective.log_variance, branch=not switches)
    assert_same(net, objective, case, expected, objective.log_variance)

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.heads import softmax_logits
from model.preparation import normalize
from model.systems import SYSTEMS, build_objective
from model.systems.fashionsearchnet import FashionSearchNet, largest_region, region_boxes
from tests.model.networks import TAXONOMY, encoder, pictures

COUNT = len(TAXONOMY.attributes)


def flooded(mask: Tensor) -> Tensor:
    """Slow `largest_region` of one mask: flood fill from every position, in reading order."""
    height, width = mask.shape
    left = {(y, x) for y in range(height) for x in range(width) if mask[y, x]}
    best: set[tuple[int, int]] = set()
    for start in sorted(left):
        if start not in left:
            continue
        region, waiting = {start}, [start]
        while waiting:
            y, x = waiting.pop()
            near = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & left - region
            region |= near
            waiting += near
        left -= region
        best = max(best, region, key=len)
    result = torch.zeros_like(mask)
    for position in best:
        result[position] = True
    return result


@settings(max_examples=150, deadline=None)
@given(height=st.integers(1, 7), width=st.integers(1, 7), share=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_largest_region_agrees_with_flood_fill(height: int, width: int, share: float, seed: int) -> None:
    masks = torch.rand(2, 2, height, width, generator=torch.Generator().manual_seed(seed)) < share
    found = largest_region(masks)
    for b, n in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert torch.equal(found[b, n], flooded(masks[b, n]))


def test_boxes_by_hand() -> None:
    maps = torch.zeros(1, 3, 4, 5)
    maps[0, 0, 1:3, 2] = 1.0  # two positions, which touch
    maps[0, 0, 0, 4] = 0.9  # one alone
    maps[0, 0, 3, 0] = 0.19  # below 20 %
    maps[0, 1] = -1.0  # no positive value
    maps[0, 2, 3, 4] = 2.0
    assert region_boxes(maps)[0].tolist() == [[2, 1, 3, 3], [0, 0, 5, 4], [4, 3, 5, 4]]


def test_softmax_logits_are_softmaxes() -> None:
    scores = torch.randn(4, TAXONOMY.class_count, generator=torch.Generator().manual_seed(0)) * 3
    probabilities = torch.sigmoid(softmax_logits(scores, TAXONOMY))
    for n, attribute in enumerate(TAXONOMY.attributes):
        span = TAXONOMY.span(n)
        expected = torch.sigmoid(scores[:, span]) if attribute.multi_label else scores[:, span].softmax(1)
        torch.testing.assert_close(probabilities[:, span], expected)


@torch.no_grad()
@pytest.mark.parametrize("switches", [(), ("without_localisation",), ("fusion",)])
def test_agrees_with_a_literal_version(switches: tuple[str, ...]) -> None:
    """One image and attribute at a time: activation map by a loop over channels, regions pooled by hand."""
    net, images = encoder("fashionsearchnet", *switches), pictures(2)
    assert isinstance(net, FashionSearchNet)
    output = net.attributes(images)
    for b, n in torch.cartesian_prod(torch.arange(2), torch.arange(COUNT)).tolist():
        psi = net.backbone(normalize(images[b : b + 1]))
        deep = torch.relu(net.conv7(torch.relu(net.conv6(psi))))[0]
        scores = net.maps[n](deep.mean((1, 2))[None])[0]
        weights = net.maps[n].weight[scores.argmax()]
        activation = sum(weights[k] * deep[k] for k in range(len(deep)))
        assert isinstance(activation, Tensor)
        region = flooded(activation >= 0.2 * activation.max()) if activation.max() > 0 else activation == activation
        if "without_localisation" in switches:
            region = torch.ones_like(region)
        rows, columns = region.nonzero(as_tuple=True)
        box = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
        pooled = pool_by_hand(psi[0], box)
        if "fusion" in switches:
            pooled = torch.cat([pooled, pool_by_hand(psi[0], [0, 0, psi.shape[3], psi.shape[2]])])
        torch.testing.assert_close(output.embeddings[b, n], net.fc[n](pooled), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(output.state[0][b, TAXONOMY.span(n)], scores, atol=1e-4, rtol=1e-4)


def pool_by_hand(psi: Tensor, box: list[int]) -> Tensor:
    """ROI align to 3 × 3: every bin is the mean of ⌈size/3⌉² bilinear samples at its evenly spread points."""
    left, top, right, bottom = box
    channels, height, width = psi.shape
    across, down = -(-(right - left) // 3), -(-(bottom - top) // 3)
    result = torch.zeros(channels, 3, 3)
    for i in range(3):
        for j in range(3):
            total = torch.zeros(channels)
            for a in range(down):
                for b in range(across):
                    y = top + (bottom - top) / 3 * (i + (a + 0.5) / down) - 0.5
                    x = left + (right - left) / 3 * (j + (b + 0.5) / across) - 0.5
                    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
                    y0, x0 = int(y), int(x)
                    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
                    fy, fx = y - y0, x - x0
                    above = psi[:, y0, x0] * (1 - fx) + psi[:, y0, x1] * fx
                    below = psi[:, y1, x0] * (1 - fx) + psi[:, y1, x1] * fx
                    total += above * (1 - fy) + below * fy
            result[:, i, j] = total / (down * across)
    return result.flatten()


def test_first_stage_learns_classes_alone() -> None:
    net = encoder("fashionsearchnet").train()
    assert not net.attributes(pictures(2)).embeddings.any()
    net.stage = 1
    assert net.attributes(pictures(2)).embeddings.any()


VARIANTS = {  # of the paper: ranked, localised, by a global head, its memory trained, with feature fusion
    "w/o Rank": (False, False, False, False, False),
    "Rank": (True, False, False, False, False),
    "Rank-L": (True, True, False, False, False),
    "Rank-LG, which is v1": (True, True, True, False, False),
    "Full": (True, True, True, True, False),
    "Full w/ FF": (True, True, True, True, True),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_documented_table(variant: str) -> None:
    rows = (Path(__file__).parents[3] / "docs" / "systems.md").read_text(encoding="utf-8").splitlines()
    (cell,) = (row.split("|")[2].strip() for row in rows if row.startswith(f"| {variant} |"))
    switches = () if cell == "(none)" else tuple(cell.strip("`").split(","))
    net = encoder("fashionsearchnet", *switches)
    assert isinstance(net, FashionSearchNet)
    objective = build_objective(SYSTEMS["fashionsearchnet"].losses, net)
    config = SYSTEMS["fashionsearchnet"].manipulation(net.config)
    apart, psi = torch.eye(3), torch.rand(2, net.channels, 6, 4, generator=torch.Generator().manual_seed(0))
    ranked = bool(objective.triplet(apart[:1], apart[1:2], apart[2:]).any())
    one_spot = torch.zeros(2, COUNT, 6, 4)
    one_spot[..., 1:3, 1:3] = 1
    localised = not torch.equal(net._regions(psi, one_spot), net._regions(psi, torch.ones_like(one_spot)))
    fused = net.fc[0][0].in_features > net.channels * 9
    assert (ranked, localised, config.kind == "global", config.memory, fused) == VARIANTS[variant]

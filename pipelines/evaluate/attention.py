"""Where an encoder looks: its attention maps for one picture, as arrays and as overlays (M3-Net, Figure 3)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.figure
import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from model.duet import predicted_classes
from model.encoder import ClassPairs, Encoder
from pipelines.errors import DuetError

_COLUMNS = 6
_STRENGTH = 0.6  # of the colours over the grey picture, where the map is at its highest
_COLOURS = "inferno"

Map = NDArray[np.float32]


class NoAttentionError(DuetError):
    """The system does not attend."""


@dataclass(frozen=True)
class Look:
    """Attention over one prepared picture.

    Attributes:
        attributes: by name, h×w ≥ 0 (the encoder's own positions).
        classes: by (attribute, class), likewise, of the predicted classes; empty without a class level.
        probabilities: of the predicted classes, 0..1, by (attribute, class).
    """

    attributes: Mapping[str, Map]
    classes: Mapping[tuple[str, str], Map]
    probabilities: Mapping[tuple[str, str], float]


@torch.inference_mode()
def look(encoder: Encoder, pixels: NDArray[np.uint8]) -> Look:
    """Attention of an encoder in ``eval()`` mode over a prepared picture, H×W×3 uint8.

    Raises:
        NoAttentionError: the system does not attend.
    """
    device = next(encoder.parameters()).device
    output = encoder.attributes(torch.tensor(pixels).permute(2, 0, 1)[None].to(device))
    taxonomy = encoder.taxonomy
    if output.attention is None:
        raise NoAttentionError(f"{encoder.config.label} has no attention to show")
    probabilities = torch.sigmoid(output.logits.float())
    chosen = predicted_classes(probabilities, taxonomy, encoder.threshold)[0].nonzero()[:, 0]
    names = [taxonomy.class_name(index) for index in chosen.tolist()]
    classes: dict[tuple[str, str], Map] = {}
    if encoder.has_classes:
        maps = encoder.class_attention(output, ClassPairs(torch.zeros_like(chosen), chosen)).float().cpu().numpy()
        classes = dict(zip(names, maps, strict=True))
    attributes = output.attention[0].float().cpu().numpy()
    return Look(
        dict(zip(taxonomy.names, attributes, strict=True)),
        classes,
        dict(zip(names, probabilities[0, chosen].tolist(), strict=True)),
    )


def overlay(pixels: NDArray[np.uint8], attention: Map) -> Image.Image:
    """A picture H×W×3 in grey, and a map h×w over it in colours: the brighter, the more it is looked at."""
    size = pixels.shape[:2]
    large = F.interpolate(torch.from_numpy(np.array(attention))[None, None], size, mode="bilinear")[0, 0].numpy()
    span = float(large.max() - large.min())
    # A map that is the same everywhere has no highest place.
    share = (large - large.min()) / span if span > 1e-6 * max(float(large.max()), 1e-12) else np.zeros_like(large)
    colours = colormaps[_COLOURS](share)[..., :3] * 255
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)[..., None]
    weight = (_STRENGTH * share)[..., None]
    return Image.fromarray((grey * (1 - weight) + colours * weight).round().astype(np.uint8))


def draw_look(pixels: NDArray[np.uint8], seen: Look) -> bytes:
    """PNG: the picture and its attributes in the first rows, its predicted classes below."""
    first: list[tuple[str, Image.Image]] = [("picture", Image.fromarray(pixels))]
    first += [(name, overlay(pixels, attention)) for name, attention in seen.attributes.items()]
    second = [
        (f"{attribute}: {name}\nP = {seen.probabilities[attribute, name]:.2f}", overlay(pixels, attention))
        for (attribute, name), attention in seen.classes.items()
    ]
    rows = [part[start : start + _COLUMNS] for part in (first, second) for start in range(0, len(part), _COLUMNS)]
    figure = matplotlib.figure.Figure(figsize=(2.1 * _COLUMNS, 2.6 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), _COLUMNS, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for row, cells in zip(grid, rows, strict=True):
        for axes, (title, image) in zip(row, cells, strict=False):
            axes.imshow(image)
            axes.set_title(title.replace("$", r"\$"), fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()

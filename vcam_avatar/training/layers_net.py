"""The layer network: a small U-Net that says which pixel belongs to which part of a person."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vcam_avatar.avatars.layers_parts import CHANNELS, PARTS

WIDTHS = (32, 48, 80, 128, 160)
"""Channels at 1/2, 1/4 ... of the picture's side."""
OUTPUTS = len(PARTS) + 1


class _Block(nn.Module):
    """Two convolutions, each with batch normalisation."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(width), nn.BatchNorm2d(width)])

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norms[0](self.first(x)))
        out: Tensor = functional.relu(self.norms[1](self.second(x)))
        return out


class LayerNet(nn.Module):
    """``(B, 11, S, S)`` -> scores ``(B, 10, S, S)``: ``PARTS`` before softmax, the core before sigmoid.

    S is a multiple of 32. 1.5 million parameters, about 1.5 thousand million multiplications at 256.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        before = (CHANNELS * 4, *widths[:-1])
        self.down = nn.ModuleList([_Block(a, b) for a, b in zip(before, widths, strict=True)])
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.up = nn.ModuleList([_Block(deep + skip, skip) for deep, skip in pairs])
        self.last = nn.Conv2d(widths[0], OUTPUTS * 4, 3, padding=1)

    def forward(self, planes: Tensor) -> Tensor:
        x = functional.pixel_unshuffle(planes, 2)
        kept: list[Tensor] = []
        for number, block in enumerate(self.down):
            if number:
                x = functional.max_pool2d(x, 2)
            x = block(x)
            kept.append(x)
        kept.pop()
        for block in self.up:
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, kept.pop()], 1))
        out: Tensor = functional.pixel_shuffle(self.last(x), 2)
        return out


class Shipped(nn.Module):
    """What runs: shares that add up to 1, then the core from 0 to 1; the mirrored picture is asked too."""

    def __init__(self, net: LayerNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, planes: Tensor) -> Tensor:
        # Mirrored, right and left change places: in the drawings going in and in the parts coming out.
        other = planes[:, [0, 1, 2, 3, 4, 6, 5, 8, 7, 9, 10]].flip(3)
        scores = self.net(torch.cat([planes, other]))
        back = scores[1:].flip(3)[:, [0, 1, 2, 6, 7, 8, 3, 4, 5, 9]]
        both = (scores[:1] + back) / 2
        parts = torch.softmax(both[:, : len(PARTS)], 1)
        return torch.cat([parts, torch.sigmoid(both[:, len(PARTS) :])], 1)

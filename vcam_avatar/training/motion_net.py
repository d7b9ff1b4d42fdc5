"""The networks that bend head and torso: fields from a picture, and their weights from a pose."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vcam_avatar.stages.body_motion import FIELDS, GRID, POINTS, REACH, SIDE_PX

WIDTHS = (24, 48, 72, 96)
"""Channels at 1/2, 1/4 ... of the picture's side."""
VALUES = len(POINTS) * 2
_SPOT = 0.12
"""Radius of a keypoint's mark, shoulder widths."""


class _Block(nn.Module):
    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, width), nn.GroupNorm(8, width)])

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norms[0](self.first(x)))
        out: Tensor = functional.relu(self.norms[1](self.second(x)))
        return out


class FieldNet(nn.Module):
    """Square ``(B, 4, 128, 128)`` and keypoints at rest ``(B, 22)`` -> fields ``(B, FIELDS * 2, 64, 64)``,
    in shoulder widths at weight 1."""

    def __init__(self) -> None:
        super().__init__()
        steps = (torch.arange(GRID) + 0.5) / GRID * 2 * REACH - REACH
        self.register_buffer("columns", steps.repeat(GRID, 1), persistent=False)
        self.register_buffer("rows", steps[:, None].repeat(1, GRID), persistent=False)
        before = (4 * 4 + len(POINTS) + 2, *WIDTHS[:-1])
        self.down = nn.ModuleList([_Block(a, b) for a, b in zip(before, WIDTHS, strict=True)])
        pairs = list(zip(WIDTHS[1:], WIDTHS[:-1], strict=True))[::-1]
        self.up = nn.ModuleList([_Block(deep + skip, skip) for deep, skip in pairs])
        self.last = nn.Conv2d(WIDTHS[0], FIELDS * 2, 3, padding=1)
        nn.init.normal_(self.last.weight, std=0.01)

    def forward(self, square: Tensor, rest: Tensor) -> Tensor:
        at = rest.reshape(-1, len(POINTS), 2, 1, 1)
        far = (self.columns - at[:, :, 0]) ** 2 + (self.rows - at[:, :, 1]) ** 2
        place = torch.stack([self.columns, self.rows]) / REACH
        x = torch.cat(
            [
                functional.pixel_unshuffle(square, 2),
                torch.exp(-far / (2 * _SPOT**2)),
                place.expand(len(square), -1, -1, -1),
            ],
            1,
        )
        kept: list[Tensor] = []
        for number, block in enumerate(self.down):
            if number:
                x = functional.max_pool2d(x, 2)
            x = block(x)
            kept.append(x)
        kept.pop()
        for block in self.up:
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, kept.pop()], 1))
        out: Tensor = self.last(x)
        return out


class WeightNet(nn.Module):
    """Keypoints at rest and their shift ``(B, 44)`` -> weights ``(B, FIELDS)``; no shift, no weight."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * VALUES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, FIELDS),
        )  # fmt: skip

    @torch.autocast("cpu", enabled=False)
    def forward(self, pose: Tensor) -> Tensor:
        # Shifts are small beside the places: both about 1 for the first layer.
        scale = torch.cat([torch.ones(VALUES), torch.full((VALUES,), 6.0)])
        still = torch.cat([pose[:, :VALUES], torch.zeros_like(pose[:, VALUES:])], 1)
        both = self.layers(torch.cat([pose, still]) * scale)
        out: Tensor = both[: len(pose)] - both[len(pose) :]
        return out


class MotionNet(nn.Module):
    """Both together, for training."""

    def __init__(self) -> None:
        super().__init__()
        self.fields = FieldNet()
        self.weights = WeightNet()

    def forward(self, square: Tensor, rest: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """Fields ``(B, FIELDS, 2, 64, 64)`` and weights ``(B, T, FIELDS)`` of T poses ``(B, T, 22)``.

        ``rest``: ``(B, T, 22)``; the fields see the first.
        """
        batch, count = now.shape[:2]
        fields = self.fields(square, rest[:, 0]).reshape(batch, FIELDS, 2, GRID, GRID)
        pose = torch.cat([rest, now - rest], 2).reshape(batch * count, -1)
        return fields, self.weights(pose).reshape(batch, count, FIELDS)


def moved(fields: Tensor, weights: Tensor, place: Tensor) -> Tensor:
    """Displacement ``(B, T, P, 2)`` of points ``(B, T, P, 2)``, from the neck in shoulder widths."""
    batch, count, points = place.shape[:3]
    # Cell centres as in the runtime, whose grid covers the square from -REACH to REACH.
    at = (place / REACH).reshape(batch, 1, count * points, 2)
    read = functional.grid_sample(
        fields.reshape(batch, FIELDS * 2, GRID, GRID), at, mode="bilinear", padding_mode="border",
        align_corners=False,
    )  # fmt: skip
    read = read.reshape(batch, FIELDS, 2, count, points)
    return torch.einsum("bkdtp,btk->btpd", read, weights)


__all__ = ["SIDE_PX", "FieldNet", "MotionNet", "WeightNet", "moved"]

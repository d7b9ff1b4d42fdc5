"""The second generator's networks: a face's identity code, and the face with any expression.

All pictures are BGR in 0..1 over the unit face crop (``media.face_crop_matrix``), 160 px a side.
The encoder runs once per avatar; only the decoder runs per frame. It does not paint a face: it says from
where in the avatar's own picture each place takes its colour (flow), and paints only what the picture
cannot show (inside of the mouth, closing lids), so the picture's sharpness is never lost.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vcam_avatar.stages.face_picture import MOUTH_WINDOW

ACTIONS = 52
APPEARANCE = 24
"""Length of the part of the identity code that must not know what the source is saying."""
CHANNELS = (24, 32, 64)
"""Feature channels at 80, 40 and 20 px."""
BASIS_PX = 40
"""Side of the maps of an average face's flow."""
FLOW_SCALE = 0.1
"""Flow of 1 in the network means a tenth of the crop's side."""

_X0, _Y0 = round(MOUTH_WINDOW[0] * 40), round(MOUTH_WINDOW[1] * 40)


def mouth_window(maps: Tensor) -> Tensor:
    """Cut the mouth's window out of ``(N, C, S, S)`` maps of the whole crop, S a multiple of 40."""
    unit = maps.shape[-1] // 40
    return maps[:, :, _Y0 * unit : (_Y0 + 20) * unit, _X0 * unit : (_X0 + 20) * unit]


class _Conv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.LeakyReLU(0.1, inplace=True)
        )


class Encoder(nn.Module):
    """Face picture + landmark maps -> identity code and the picture's own expression.

    The code has two parts. Feature maps tell where everything is, the source's mouth included, or it could
    not be moved. The appearance vector tells what teeth, tongue and lids should look like; an adversary
    keeps it from knowing the source's mouth.
    """

    def __init__(self) -> None:
        super().__init__()
        c80, _, c20 = CHANNELS
        self.stem = nn.Sequential(_Conv(6, 16), _Conv(16, c80, 2), _Conv(c80, c80))
        self.down40 = nn.Sequential(_Conv(c80, 48, 2), _Conv(48, 48))
        self.down20 = nn.Sequential(_Conv(48, 96, 2), _Conv(96, 96))
        self.down10 = nn.Sequential(_Conv(96, 128, 2), _Conv(128, 128))
        self.down5 = nn.Sequential(_Conv(128, 128, 2), _Conv(128, 128))
        self.context = _Conv(128, 96, 1, 1)
        self.out20 = nn.Sequential(_Conv(96 + 96, 96, 1, 1), nn.Conv2d(96, c20, 3, padding=1))
        self.out40 = nn.Conv2d(48 + c20, CHANNELS[1], 1)
        self.out80 = nn.Conv2d(c80 + CHANNELS[1], c80, 1)
        self.expression = nn.Sequential(
            nn.Linear(128 + 48 * 16, 128), nn.LeakyReLU(0.1), nn.Linear(128, ACTIONS)
        )
        nn.init.constant_(self.expression[2].bias, -3.0)
        self.appearance = nn.Sequential(nn.Linear(128, 64), nn.LeakyReLU(0.1), nn.Linear(64, APPEARANCE))

    def forward(
        self, picture: Tensor, landmark_maps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Look at a face.

        Args:
            picture: ``(N, 3, 160, 160)``.
            landmark_maps: ``(N, 3, 160, 160)``, see ``stages.face_picture.landmark_maps``.

        Returns:
            Features at 80, 40 and 20 px, appearance ``(N, 24)``, the picture's own actions ``(N, 52)``.
        """
        x80 = self.stem(torch.cat([picture - 0.5, landmark_maps], 1))
        x40 = self.down40(x80)
        x20 = self.down20(x40)
        x10 = self.down10(x20)
        x5 = self.down5(x10)
        context = F.interpolate(self.context(x10), scale_factor=2.0, mode="nearest")
        f20 = self.out20(torch.cat([x20, context], 1))
        f40 = self.out40(torch.cat([x40, F.interpolate(f20, scale_factor=2.0, mode="nearest")], 1))
        f80 = self.out80(torch.cat([x80, F.interpolate(f40, scale_factor=2.0, mode="nearest")], 1))
        pooled = x5.mean((2, 3))
        lips = F.avg_pool2d(mouth_window(x40), 5).flatten(1)
        own = torch.sigmoid(self.expression(torch.cat([pooled, lips], 1)))
        return f80, f40, f20, torch.tanh(self.appearance(pooled)), own


class _Styled(nn.Module):
    """Convolution whose result the expression scales and shifts, channel by channel."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.style = nn.Linear(style, 2 * outputs)
        nn.init.normal_(self.style.weight, std=0.02)
        nn.init.zeros_(self.style.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.styled(self.convolution(x), style)

    def styled(self, convolved: Tensor, style: Tensor) -> Tensor:
        """The second half: scale, shift, bend."""
        scale, shift = self.style(style)[:, :, None, None].chunk(2, 1)
        return F.leaky_relu(convolved * (1 + scale) + shift, 0.1)


class Decoder(nn.Module):
    """Identity code + expression -> what moves where, and what has to be painted.

    Both outputs have flow x, y (source minus target, in crop sides), the logit of the paint, and the
    paint's B, G, R in 0..1. The first covers the whole crop; the second covers the mouth's window, holds
    there alone, and has a seventh channel: the logit of the mouth's inside, which is part of what is painted.
    """

    def __init__(self) -> None:
        super().__init__()
        c80, c40, c20 = CHANNELS
        style = 64
        self.expression = nn.Sequential(nn.Linear(ACTIONS, 96), nn.LeakyReLU(0.1), nn.Linear(96, style))
        self.painter = nn.Sequential(
            nn.Linear(style + APPEARANCE, 64), nn.LeakyReLU(0.1), nn.Linear(64, style)
        )
        self.trunk = nn.ModuleList([_Styled(c20, c20, style) for _ in range(4)])
        # What an average face does, action by action: found by least squares before training.
        self.basis_whole = nn.Parameter(torch.zeros(ACTIONS, 2 * BASIS_PX * BASIS_PX))
        self.basis_mouth = nn.Parameter(torch.zeros(ACTIONS, 2 * BASIS_PX * BASIS_PX))
        # Faces are aligned: where in the crop a place lies tells most of how it moves.
        self.place20 = nn.Parameter(torch.randn(1, c20, 20, 20) * 0.3)
        self.place40 = nn.Parameter(torch.randn(1, 8, 40, 40) * 0.3)
        self.up40 = nn.Conv2d(c20, 32, 1)
        self.mix40 = _Styled(32 + c40 + 8, 40, style)
        self.whole = nn.Sequential(_Conv(40, 32), nn.Conv2d(32, 6 * 4, 3, padding=1), nn.PixelShuffle(2))
        self.mouth40 = _Styled(40 + c80, 32, style)
        self.mouth40b = _Styled(32, 32, style)
        self.mouth80 = nn.Sequential(
            nn.Conv2d(32, 12 * 4, 3, padding=1), nn.PixelShuffle(2), nn.LeakyReLU(0.1), _Conv(12, 16)
        )
        self.mouth_out = nn.Conv2d(16, 7, 3, padding=1)
        # Most of a face is never painted.
        nn.init.constant_(self.whole[1].bias[8:12], -3.0)
        nn.init.constant_(self.mouth_out.bias[2::4], -2.0)
        # Begin with the average face's flow alone.
        with torch.no_grad():
            self.whole[1].weight[:8] *= 0.1
            self.mouth_out.weight[:2] *= 0.1

    def forward(
        self, f80: Tensor, f40: Tensor, f20: Tensor, appearance: Tensor, own: Tensor, expression: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Say how the face looks with another expression.

        Args:
            f80, f40, f20, appearance: the identity code.
            own: ``(N, 52)`` the source's own actions, part of the code.
            expression: ``(N, 52)`` wanted actions.

        Returns:
            Maps of the whole crop ``(N, 6, 80, 80)`` and of the mouth's window ``(N, 7, 80, 80)``.
        """
        style = self.expression(expression)
        paint_style = self.painter(torch.cat([style, appearance], 1))
        x = f20 + self.place20
        for first, second in ((0, 1), (2, 3)):
            x = x + self.trunk[second](self.trunk[first](x, style), style)
        x = F.interpolate(self.up40(x), scale_factor=2.0, mode="nearest")
        x = self.mix40(torch.cat([x, f40, self.place40.expand(len(x), -1, -1, -1)], 1), paint_style)
        near = F.interpolate(mouth_window(x), scale_factor=2.0, mode="nearest")
        near = self.mouth40(torch.cat([near, mouth_window(f80)], 1), paint_style)
        return self.finish(x, near, paint_style, expression - own)

    def finish(self, x: Tensor, near: Tensor, paint_style: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """From the features of the whole crop and of the mouth's window to the maps."""
        near = near + self.mouth40b(near, paint_style)
        return (
            _as_maps(self.whole(x), self._average(change, self.basis_whole)),
            _as_maps(self.mouth_out(self.mouth80(near)), self._average(change, self.basis_mouth)),
        )

    def _average(self, change: Tensor, basis: Tensor) -> Tensor:
        maps = (change @ basis).reshape(-1, 2, BASIS_PX, BASIS_PX)
        return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def _as_maps(raw: Tensor, average_flow: Tensor) -> Tensor:
    return torch.cat(
        [(raw[:, :2] + average_flow) * FLOW_SCALE, raw[:, 2:3], torch.sigmoid(raw[:, 3:6]), raw[:, 6:]], 1
    )


class PatchDiscriminator(nn.Module):
    """Which patches of a mouth picture are real, given what should be seen (PatchGAN).

    The expression comes in as a bias on the first features.
    """

    def __init__(self) -> None:
        super().__init__()
        normed: Any = nn.utils.parametrizations.spectral_norm
        self.first = normed(nn.Conv2d(3, 32, 4, 2, 1))
        self.condition = nn.Linear(ACTIONS, 32)
        self.second = normed(nn.Conv2d(32, 64, 4, 2, 1))
        self.third = normed(nn.Conv2d(64, 96, 3, 1, 1))
        self.out = normed(nn.Conv2d(96, 1, 3, 1, 1))

    def forward(self, picture: Tensor, expression: Tensor) -> tuple[Tensor, list[Tensor]]:
        """``(N, 3, S, S)`` -> scores ``(N, 1, S/4, S/4)`` and the features for matching."""
        a = F.leaky_relu(self.first(picture) + self.condition(expression)[:, :, None, None], 0.2)
        b = F.leaky_relu(self.second(a), 0.2)
        c = F.leaky_relu(self.third(b), 0.2)
        return self.out(c), [a, b, c]


class SpeechClassifier(nn.Module):
    """Guesses from the appearance what the source's mouth is doing; it must not be able to (DAVS)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(APPEARANCE, 64), nn.LeakyReLU(0.1), nn.Linear(64, classes))

    def forward(self, appearance: Tensor) -> Tensor:
        """``(N, 24)`` -> logits ``(N, classes)``."""
        logits: Tensor = self.layers(appearance)
        return logits


def sampling_grid(flow: Tensor, window: tuple[float, float, float, float] = (0, 0, 1, 1)) -> Tensor:
    """Flow in crop sides ``(N, 2, S, S)`` over ``window`` -> ``grid_sample`` grid ``(N, S, S, 2)``."""
    side = flow.shape[-1]
    x0, y0, x1, y1 = window
    ramp = (torch.arange(side, dtype=flow.dtype, device=flow.device) + 0.5) / side
    x = x0 + ramp * (x1 - x0)
    y = y0 + ramp * (y1 - y0)
    base = torch.stack([x[None, :].expand(side, side), y[:, None].expand(side, side)], -1)
    return (base[None] + flow.permute(0, 2, 3, 1)) * 2 - 1


def render(
    maps: Tensor, source: Tensor, window: tuple[float, float, float, float] = (0, 0, 1, 1)
) -> tuple[Tensor, Tensor]:
    """Warp and paint: ``(N, 6 or 7, S, S)`` maps, source ``(N, 3, H, H)`` -> picture and its warp alone."""
    grid = sampling_grid(maps[:, :2], window)
    warped = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
    paint = torch.sigmoid(maps[:, 2:3])
    return warped + paint * (maps[:, 3:6] - warped), warped

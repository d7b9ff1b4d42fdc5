"""The face networks as they run: what does not depend on the expression is worked out once per avatar.

A convolution over features of the picture beside features of the expression is a sum of two; the first part,
and everything before the first word of the expression, moves from the decoder into the encoder. The results
are the same, the decoder a quarter cheaper.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vcam_avatar.training.face_net import Decoder, Encoder, mouth_window

CODE = ("base", "first", "middle", "near", "appearance", "own")
"""Names of the identity code's tensors."""


def _own_part(convolution: nn.Conv2d, first: int, features: Tensor) -> Tensor:
    """The convolution's share over its input channels from ``first`` on, bias included."""
    return F.conv2d(features, convolution.weight[:, first:], convolution.bias, padding=1)


def _other_part(convolution: nn.Conv2d, stop: int, features: Tensor) -> Tensor:
    """The convolution's share over its input channels before ``stop``, without bias."""
    return F.conv2d(features, convolution.weight[:, :stop], None, padding=1)


class RuntimeEncoder(nn.Module):
    """``Encoder`` and the constant parts of ``Decoder``."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, picture: Tensor, landmark_maps: Tensor) -> tuple[Tensor, ...]:
        """``(1, 3, 160, 160)`` twice -> the identity code, named ``CODE``."""
        d = self.decoder
        f80, f40, f20, appearance, own = self.encoder(picture, landmark_maps)
        base = f20 + d.place20
        first = d.trunk[0].convolution(base)
        middle = _own_part(d.mix40.convolution, 32, torch.cat([f40, d.place40], 1))
        near = _own_part(d.mouth40.convolution, 40, mouth_window(f80))
        return base, first, middle, near, appearance, own


class RuntimeDecoder(nn.Module):
    """The rest of ``Decoder``."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        base: Tensor,
        first: Tensor,
        middle: Tensor,
        near: Tensor,
        appearance: Tensor,
        own: Tensor,
        expression: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Identity code and ``(1, 52)`` actions -> the maps of ``Decoder``."""
        d = self.decoder
        style = d.expression(expression)
        paint_style = d.painter(torch.cat([style, appearance], 1))
        x = base + d.trunk[1](d.trunk[0].styled(first, style), style)
        x = x + d.trunk[3](d.trunk[2](x, style), style)
        x = F.interpolate(d.up40(x), scale_factor=2.0, mode="nearest")
        x = d.mix40.styled(_other_part(d.mix40.convolution, 32, x) + middle, paint_style)
        close = F.interpolate(mouth_window(x), scale_factor=2.0, mode="nearest")
        close = d.mouth40.styled(_other_part(d.mouth40.convolution, 40, close) + near, paint_style)
        return d.finish(x, close, paint_style, expression - own)

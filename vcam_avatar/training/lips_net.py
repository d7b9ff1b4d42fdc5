"""The lip network: a causal stack of dilated convolutions with one head per look-ahead, and one that tells
voices from other sounds."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vcam_avatar.stages.features import N_COEFFICIENTS, dct_matrix
from vcam_avatar.stages.visemes import VISEMES
from vcam_avatar.training.speech_clips import CURVES

LOOK_AHEAD_MS = (0, 20, 40)
"""A head's answer for the row that ends at time t is the mouth at t - look-ahead."""
OUTPUTS = len(VISEMES) + len(CURVES)
_FIRST_KERNEL, _KERNEL = 5, 3
_CURVE_GRADIENT = 0.2
"""How much of the curves' gradient reaches the trunk. Curves are known for two people only: the trunk would
learn those two voices by heart, while phones teach it what holds for all."""
_CURVE_CHANNELS = 64
_MEMORY = 32
"""Units of the voice head's recurrent memory."""


class _Block(nn.Module):
    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(channels, channels, _KERNEL, dilation=dilation)
        self.norm = nn.BatchNorm1d(channels)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.drop = nn.Dropout1d(dropout)  # whole channels: cheaper, and neighbours cannot fill in

    def forward(self, past: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Past ``(B, C, 2 dilation)`` and present ``(B, C, T)`` -> output ``(B, C, T)`` and the next past."""
        joined = torch.cat([past, x], 2)
        y = self.drop(self.mix(functional.gelu(self.norm(self.dilated(joined)))))
        return x + y, joined[:, :, -past.shape[2] :]


class LipNet(nn.Module):
    """MFCC rows -> viseme posteriors and mouth curves, for three look-aheads."""

    def __init__(
        self, channels: int = 144, dilations: tuple[int, ...] = (1, 2, 4, 8, 16), dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.channels, self.dilations = channels, dilations
        self.register_buffer("mean", torch.zeros(N_COEFFICIENTS))
        self.register_buffer("scale", torch.ones(N_COEFFICIENTS))
        self.register_buffer("undo", torch.from_numpy(dct_matrix().T.copy()), persistent=False)
        self.first = nn.Conv1d(N_COEFFICIENTS, channels, _FIRST_KERNEL)
        self.blocks = nn.ModuleList(_Block(channels, d, dropout) for d in dilations)
        self.norm = nn.BatchNorm1d(channels)
        heads = len(LOOK_AHEAD_MS)
        self.visemes = nn.Conv1d(channels, len(VISEMES) * heads, 1)
        self.curves = nn.Sequential(
            nn.Dropout1d(2 * dropout),
            nn.Conv1d(channels, _CURVE_CHANNELS, 1),
            nn.GELU(),
            nn.Dropout1d(2 * dropout),
            nn.Conv1d(_CURVE_CHANNELS, len(CURVES) * heads, 1),
        )
        # Trained by itself afterwards (``training.lips_voice``); until then everything passes for a voice.
        self.listen = nn.GRU(channels, _MEMORY, batch_first=True)
        self.heard = nn.Linear(_MEMORY, 1)
        nn.init.zeros_(self.heard.weight)
        nn.init.constant_(self.heard.bias, 6.0)

    def past_rows(self) -> int:
        """Columns of the packed state of the blocks."""
        return sum((_KERNEL - 1) * d for d in self.dilations)

    def initial(self, batch: int) -> tuple[Tensor, Tensor]:
        """States of silence: inputs ``(B, 40, 4)`` (normalised) and blocks ``(B, C, past_rows)``."""
        return (
            torch.zeros(batch, N_COEFFICIENTS, _FIRST_KERNEL - 1),
            torch.zeros(batch, self.channels, self.past_rows()),
        )

    @staticmethod
    def forgotten(batch: int) -> Tensor:
        """State of a voice head that has heard nothing, ``(B, memory)``."""
        return torch.zeros(batch, _MEMORY)

    def normalise(self, log_mel: Tensor) -> Tensor:
        """Log mel ``(B, T, 40)`` -> network input ``(B, 40, T)``."""
        return ((log_mel - self.mean) * self.scale).transpose(1, 2)

    def features(self, x: Tensor, inputs: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Input ``(B, 40, T)`` and states -> what all heads read, ``(B, C, T)``, and the next states."""
        joined = torch.cat([inputs, x], 2)
        y = functional.gelu(self.first(joined))
        following, at = [], 0
        for block, dilation in zip(self.blocks, self.dilations, strict=True):
            width = (_KERNEL - 1) * dilation
            y, after = block(past[:, :, at : at + width], y)
            following.append(after)
            at += width
        return functional.gelu(self.norm(y)), joined[:, :, -(_FIRST_KERNEL - 1) :], torch.cat(following, 2)

    def mouth(self, y: Tensor) -> Tensor:
        """Features ``(B, C, T)`` -> raw visemes and curves ``(B, 3, 21, T)``."""
        heads = len(LOOK_AHEAD_MS)
        visemes = self.visemes(y).view(y.shape[0], heads, len(VISEMES), -1)
        if self.training:
            y = _CURVE_GRADIENT * y + (1 - _CURVE_GRADIENT) * y.detach()
        return torch.cat([visemes, self.curves(y).view(y.shape[0], heads, len(CURVES), -1)], 2)

    def voice(self, y: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(B, C, T)`` and memory ``(B, memory)`` -> logit of a voice ``(B, T)``, next memory."""
        told, memory = self.listen(y.transpose(1, 2), memory[None])
        return self.heard(told)[:, :, 0], memory[0]

    def forward(self, x: Tensor) -> Tensor:
        """Normalised log mel ``(B, 40, T)`` from silence -> raw outputs ``(B, 3, 21, T)``."""
        inputs, past = self.initial(len(x))
        return self.mouth(self.features(x, inputs, past)[0])


class Streaming(nn.Module):
    """What is exported: MFCC rows and states in, posteriors, curves, voice and states out."""

    def __init__(self, net: LipNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, rows: Tensor, inputs: Tensor, past: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Rows ``(T, 40)``, states ``(40, 4)``, ``(C, P)``, ``(M,)`` -> mouth ``(T, 3, 21)``, likelihood of a
        voice ``(T,)``, the next states."""
        x = self.net.normalise((rows @ self.net.undo)[None])
        y, inputs, past = self.net.features(x, inputs[None], past[None])
        out = self.net.mouth(y)[0].permute(2, 0, 1)
        visemes = torch.softmax(out[:, :, : len(VISEMES)], 2)
        voice, memory = self.net.voice(y, memory[None])
        mouth = torch.cat([visemes, out[:, :, len(VISEMES) :]], 2)
        return mouth, torch.sigmoid(voice[0]), inputs[0], past[0], memory[0]

"""Lips: hears units of sound, says how the mouth stands at their middle."""

from collections import deque
from fractions import Fraction

import numpy as np

from vcam_avatar.errors import ModelError
from vcam_avatar.inference import Network, load_network
from vcam_avatar.media import (
    FACE_ACTIONS,
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    Expression,
    FloatArray,
    UnitClock,
    UnitFeatures,
)
from vcam_avatar.stages.features import WINDOW_SAMPLES, dct_matrix
from vcam_avatar.stages.lips_decode import DecoderSettings, MouthDecoder
from vcam_avatar.stages.visemes import VISEMES

_ROW_MS = 1000 * HOP_SAMPLES / SAMPLE_RATE_HZ
_WINDOW_MS = 1000 * WINDOW_SAMPLES / SAMPLE_RATE_HZ
_WHITE_DB = 6.8
"""Mean mel energy of full-scale white noise, in dB."""
_NOTHING_DB = -76.0
"""Rows below this are digital silence: 0.8 dB above the floor of the features."""
_FORGET_ROWS = 500
"""After 5 s of digital silence, as of a muted microphone, the network begins anew: it has learnt from rooms,
and after more of it the next word is late to be taken for a voice."""


class LipNetwork:
    """The streaming network with its state."""

    def __init__(self, network: Network | None = None) -> None:
        """Use ``network``, None = load the shipped one.

        Raises:
            ModelError: the network is missing, damaged or knows other visemes.
        """
        self._network = network or load_network("lips")
        if tuple(self._network.values["visemes"]) != VISEMES:
            raise ModelError(f"{self._network.path.name} was trained with other visemes; export it again")
        self.look_ahead_ms = tuple(int(ms) for ms in self._network.values["look_ahead_ms"])
        """Look-aheads of the heads, in their order."""
        shapes = {tensor.name: tensor.shape for tensor in self._network.sidecar.inputs}
        self._shapes = {name: tuple(map(int, shapes[name])) for name in shapes if name != "rows"}
        self.voice = np.ones(0, np.float32)
        """How likely a voice was heard, float32 ``(k,)``, 0..1, for the rows pushed last."""
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._states = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}

    def push(self, rows: FloatArray) -> FloatArray:
        """MFCC rows ``(k, 40)``, k >= 1 -> float32 ``(k, heads, 21)``: 15 posteriors, 6 curves."""
        out = self._network.run({"rows": rows, **self._states})
        self._states = {name: out["next_" + name] for name in self._states}
        self.voice = out.get("voice", np.ones(len(rows), np.float32))
        return np.asarray(out["mouth"], np.float32)


def row_levels_db(rows: FloatArray) -> FloatArray:
    """Level of MFCC rows ``(k, 40)`` in dBFS, float32 ``(k,)`` (exact for white noise)."""
    power = np.exp(rows @ dct_matrix().T).mean(1)
    return np.asarray(10 * np.log10(power) - _WHITE_DB, np.float32)


class Lips:
    """Streaming network and decoder.

    The network's head for look-ahead L tells, with the row that ends at t, the mouth at t - L. The head of
    the chosen look-ahead is decoded for good; for the little that is newer than its last answer, heads with
    less look-ahead fill in, and are thought over again when the better answer comes.
    """

    def __init__(
        self,
        network: LipNetwork | None = None,
        *,
        look_ahead_ms: int = 20,
        slowness: float = 1.0,
        decoder: DecoderSettings | None = None,
    ) -> None:
        """Args:
            network: the network to use, None = the shipped one.
            look_ahead_ms: how much sound after the shown instant is waited for: 0, 20 or 40. Up to half a
                unit costs nothing; more makes the mouth late by the rest.
            slowness: multiplies the decoder's time constants.

        Raises:
            ModelError: the network cannot be loaded.
            ValueError: no head for ``look_ahead_ms``.
        """
        self._network = network or LipNetwork()
        heads = self._network.look_ahead_ms
        if look_ahead_ms not in heads:
            raise ValueError(f"look-ahead must be one of {heads} ms, got {look_ahead_ms}")
        self.look_ahead_ms = look_ahead_ms
        self._heads = [heads.index(h) for h in sorted((h for h in heads if h <= look_ahead_ms), reverse=True)]
        self._decoder = MouthDecoder(decoder, slowness)
        self._guess = MouthDecoder(decoder, slowness)
        self.reset()

    def reset(self) -> None:
        """Closed lips, nothing heard."""
        self._network.reset()
        self._decoder.reset()
        self._rows = 0
        closed = np.zeros(len(FACE_ACTIONS) + 1, np.float32)
        self._history: deque[tuple[float, FloatArray]] = deque(
            [(-1e9, closed), (-1e9 + 1, closed)], maxlen=48
        )
        self._answers: deque[FloatArray] = deque(maxlen=8)
        self._levels: deque[float] = deque(maxlen=8)
        self._voice = 1.0
        self._silent_rows = 0
        self.opening = 0.0
        """Lip opening of the mouth last returned: 0 closed, 1 = a full open vowel."""
        self.speech = 0.0
        """1 - posterior of silence at the newest settled instant; 0 with the gate shut."""

    def listen(self, unit: UnitFeatures, muted: bool = False) -> Expression:
        """Hear one more unit; return the mouth, float32 ``(52,)``, at its middle, or ``look_ahead_ms``
        before its end if that is earlier. Actions that are not the mouth's are 0."""
        if len(unit.rows):
            # Row numbers follow from the unit, so that a reset in the middle of a stream does no harm.
            start = UnitClock(unit.fps).start_sample(unit.index)
            self._rows = max(0, 1 + (start - WINDOW_SAMPLES) // HOP_SAMPLES)
            levels = row_levels_db(unit.rows)
            self._forget_in_silence(float(levels.max()), len(levels))
            mouths = self._network.push(unit.rows)
            for mouth, voice, level in zip(mouths, self._network.voice, levels, strict=True):
                self._settle(mouth, float(voice), float(level), muted)
        shown = self._at(_shown_ms(unit.index, unit.fps, self.look_ahead_ms), muted)
        self.opening = float(shown[-1])
        return shown[:-1]

    def _forget_in_silence(self, level_db: float, rows: int) -> None:
        self._silent_rows = self._silent_rows + rows if level_db < _NOTHING_DB else 0
        if self._silent_rows >= _FORGET_ROWS:
            self._silent_rows = 0
            self._network.reset()

    def _end_ms(self, row: int) -> float:
        return row * _ROW_MS + _WINDOW_MS

    def _settle(self, mouth: FloatArray, voice: float, level_db: float, muted: bool) -> None:
        self._answers.append(mouth)
        self._voice = voice
        self._levels.append(level_db)
        # The level at the instant the head speaks of, not at its newest sample.
        late = min(len(self._levels) - 1, round(self.look_ahead_ms / _ROW_MS))
        best = mouth[self._heads[0]]
        level = max(self._levels[-1 - late], self._levels[-1])
        action = self._decoder.step(best[: len(VISEMES)], best[len(VISEMES) :], level, muted, voice)
        action = np.append(action, np.float32(self._decoder.shown))
        self._history.append((self._end_ms(self._rows) - self.look_ahead_ms, action))
        self.speech = 1.0 - float(best[0]) if self._decoder.gate.is_open and not muted else 0.0
        self._rows += 1

    def _at(self, wanted_ms: float, muted: bool) -> FloatArray:
        track = list(self._history)
        if self._rows and wanted_ms > track[-1][0] and len(self._heads) > 1:
            track = track[-2:] + self._newer(wanted_ms, muted)
        for (before, a), (after, b) in zip(reversed(track[:-1]), reversed(track[1:]), strict=True):
            if before <= wanted_ms:
                part = min(1.0, max(0.0, (wanted_ms - before) / (after - before)))
                return np.asarray(a + np.float32(part) * (b - a), np.float32)
        return track[0][1].copy()

    def _newer(self, wanted_ms: float, muted: bool) -> list[tuple[float, FloatArray]]:
        """Provisional steps after the last settled one, from the best head that knows each."""
        self._guess.copy_from(self._decoder)
        out: list[tuple[float, FloatArray]] = []
        at = self._history[-1][0]
        newest = self._end_ms(self._rows - 1)
        while at < wanted_ms:
            at += _ROW_MS
            for head in self._heads[1:]:
                back = round((newest - self._network.look_ahead_ms[head] - at) / _ROW_MS)
                if 0 <= back < len(self._answers):
                    answer = self._answers[-1 - back][head]
                    break
            else:
                break
            level = max(self._levels[-1], self._levels[-1 - back])
            action = self._guess.step(
                answer[: len(VISEMES)], answer[len(VISEMES) :], level, muted, self._voice
            )
            out.append((at, np.append(action, np.float32(self._guess.shown))))
        return out


def _shown_ms(index: int, fps: Fraction, look_ahead_ms: int) -> float:
    """The instant a unit shows: its middle, or ``look_ahead_ms`` before its end if that is earlier."""
    return min(float((index + Fraction(1, 2)) / fps), float((index + 1) / fps) - look_ahead_ms / 1000) * 1000

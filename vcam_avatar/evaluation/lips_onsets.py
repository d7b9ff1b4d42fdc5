"""What the ear for voices costs: how much later the lips part, how much speech they stay shut for."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.evaluation.lips_hear import ROW_MS, Ear
from vcam_avatar.evaluation.lips_sounds import room
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.stages.lips_decode import DecoderSettings
from vcam_avatar.training.speech_audio import telephone
from vcam_avatar.training.speech_clips import Clip
from vcam_avatar.training.speech_styles import shouted, whispered

_OPEN = 0.1
_SHUT_ROWS, _LOOK_ROWS = 30, 100


def styles(rng: np.random.Generator) -> dict[str, Callable[[FloatArray], FloatArray]]:
    """Name -> how a clip is said."""
    return {
        "as recorded": lambda x: x,
        "20 dB softer": lambda x: x * np.float32(0.1),
        "whispered": lambda x: whispered(x, rng),
        "shouted": lambda x: shouted(x, rng),
        "telephone": telephone,
    }


def delays_ms(gated: NDArray[np.bool_], free: NDArray[np.bool_]) -> list[float]:
    """How much later each opening after 0.3 s of shut lips begins, at most a second.

    Args:
        gated: bool ``(T,)``, open or not in every feature row, with the ear for voices.
        free: the same without.
    """
    out = []
    for k in np.flatnonzero(free):
        if not free[max(0, k - _SHUT_ROWS) : k].any():
            later = np.flatnonzero(gated[k : k + _LOOK_ROWS])
            out.append(ROW_MS * (float(later[0]) if len(later) else _LOOK_ROWS))
    return out


def voice_gate_cost(ear: Ear, clips: list[Clip], look_ahead_ms: int = 20) -> dict[str, dict[str, float]]:
    """Per style: 95th and 99th percentile of the delay of openings; share of open rows lost, in percent.

    Every clip follows a second of a quiet room.
    """
    free = Ear(decoder=replace(ear.decoder or DecoderSettings(), voice_from=-2.0, voice_full=-1.0))
    free.network = ear.network
    rng, out = np.random.default_rng(8), {}
    for name, style in styles(rng).items():
        late: list[float] = []
        lost = total = 0
        for clip in clips:
            said = np.concatenate([np.zeros(SAMPLE_RATE_HZ, np.float32), style(clip.samples)])
            sound = (said + room(len(said), -65, rng)).astype(np.float32)
            a, b = (e.hear(sound, look_ahead_ms).opening > _OPEN for e in (ear, free))
            late += delays_ms(a, b)
            lost, total = lost + int((b & ~a).sum()), total + int(b.sum())
        out[name] = {
            "later_ms_p95": float(np.percentile(late, 95)) if late else 0.0,
            "later_ms_p99": float(np.percentile(late, 99)) if late else 0.0,
            "lost_percent": round(100 * lost / max(1, total), 2),
        }
    return out

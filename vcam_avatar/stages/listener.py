"""The hearing half of the face generator: sound in, expression out, the same for every avatar."""

from dataclasses import dataclass

import numpy as np

from vcam_avatar.media import FACE_ACTIONS, Expression, UnitFeatures
from vcam_avatar.stages.life import Life, LifeSettings
from vcam_avatar.stages.lips import LipNetwork, Lips
from vcam_avatar.stages.visemes import action_indices


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """What the user may turn. Gains: 0 = off, 1 = natural."""

    mouth: float = 1.0
    """How wide the mouth opens; closures stay closed."""
    smile: float = 0.12
    """Resting smile, 0..1."""
    smoothing: float = 0.0
    """0 crisp to 1 soft: slower opening."""
    brows: float = 1.0
    """How much the brows go with the voice."""
    blinks: float = 1.0
    """How often the eyes blink."""
    gaze: float = 1.0
    """How far glances go."""
    look_ahead_ms: int = 20
    """Sound after the shown instant that is waited for: 0, 20 or 40. Half a unit is free."""


_OPENERS = sorted(
    {
        i
        for n in ("jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthFunnel", "tongueOut")
        for i in action_indices(n)
    }
)
_SMILE = action_indices("mouthSmile")
_ROUNDERS = [FACE_ACTIONS.index("mouthFunnel"), FACE_ACTIONS.index("mouthPucker")]


class Listener:
    """``Lips`` and ``Life`` together."""

    def __init__(
        self, network: LipNetwork | None = None, settings: ListenerSettings | None = None, seed: int = 0
    ) -> None:
        """``network`` None = the shipped one.

        Raises:
            ModelError: the network cannot be loaded.
            ValueError: no head for the look-ahead.
        """
        self._network = network or LipNetwork()
        self.settings = settings or ListenerSettings()
        self._lips = self._make_lips()
        self._life = Life(self._life_settings(), seed)

    def _make_lips(self) -> Lips:
        s = self.settings
        return Lips(self._network, look_ahead_ms=s.look_ahead_ms, slowness=1 + 3 * s.smoothing)

    def _life_settings(self) -> LifeSettings:
        s = self.settings
        return LifeSettings(blinks=s.blinks, gaze=s.gaze, brows=s.brows, smile=s.smile)

    def reset(self, seed: int) -> None:
        """Forget what was heard; the same seed and sound give the same face."""
        self._lips.reset()
        self._life.reset(seed)

    def change(self, settings: ListenerSettings) -> None:
        """Use other settings from the next unit on; timing settings begin from closed lips."""
        old, self.settings = self.settings, settings
        if (old.look_ahead_ms, old.smoothing) != (settings.look_ahead_ms, settings.smoothing):
            self._lips = self._make_lips()
        self._life.settings = self._life_settings()

    def listen(self, unit: UnitFeatures, muted: bool = False) -> Expression:
        """Hear one more unit; return the face at its middle, float32 ``(52,)``.

        Args:
            unit: features of the next unit.
            muted: close the mouth; blinking and glances go on.
        """
        mouth = self._lips.listen(unit, muted)
        mouth[_OPENERS] = np.clip(mouth[_OPENERS] * self.settings.mouth, 0, 1)
        life = self._life.step(unit, self._lips.speech)
        # A smile fades while the lips are rounded: both at once look wrong.
        life[_SMILE] *= 1 - min(1.0, float(mouth[_ROUNDERS].sum()))
        return np.asarray(np.clip(mouth + life, 0.0, 1.0), np.float32)

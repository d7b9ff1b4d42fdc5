"""Phone times of English speech with known words, by pocketsphinx forced alignment."""

import re
from typing import Any

import numpy as np

from vcam_avatar.errors import ConfigError
from vcam_avatar.media import FloatArray
from vcam_avatar.training.speech_phones import Phone

_NUMBERS = dict(
    zip(
        "0123456789",
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        strict=True,
    )
)


_ARPABET_OF_IPA = {
    "p": "P", "b": "B", "m": "M", "f": "F", "v": "V", "θ": "TH", "ð": "DH", "t": "T", "d": "D", "ɾ": "T",
    "k": "K", "ɡ": "G", "ŋ": "NG", "h": "HH", "ʧ": "CH", "ʤ": "JH", "ʃ": "SH", "ʒ": "ZH", "s": "S", "z": "Z",
    "n": "N", "l": "L", "ɹ": "R", "j": "Y", "w": "W", "ɑ": "AA", "ʌ": "AH", "ə": "AH", "ᵊ": "AH", "æ": "AE",
    "ɛ": "EH", "A": "EY", "ɪ": "IH", "i": "IY", "ɔ": "AO", "O": "OW", "ʊ": "UH", "u": "UW", "I": "AY",
    "W": "AW", "Y": "OY", "ɜ": "ER", "ᵻ": "IH",
}  # fmt: skip


def _spell(word: str) -> str | None:
    """ARPAbet spelling of a word that the dictionary lacks, None without the ``hibari`` package."""
    try:
        from vcam_avatar.training.speech_text import phonemes

        sounds = phonemes(word, "en-us").replace("ɜɹ", "ɜ").replace("əɹ", "ɜ")
    except ImportError:
        return None
    return " ".join(_ARPABET_OF_IPA[c] for c in sounds if c in _ARPABET_OF_IPA) or None


class Aligner:
    """One pocketsphinx decoder, used again and again.

    Raises:
        ConfigError: pocketsphinx is not installed.
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise ConfigError("phone times of recordings need: pip install pocketsphinx") from None

        self._decoder: Any = Decoder(samprate=16_000, loglevel="FATAL")

    def words(self, text: str) -> list[str]:
        """Lower-case words of ``text``; single digits are spelt out."""
        text = re.sub(
            r"(?<!\d)\d(?!\d)", lambda m: f" {_NUMBERS[m.group()]} ", text.lower().replace("’", "'")
        )
        return [w for w in re.sub(r"[^a-z0-9' ]", " ", text).split() if w.strip("'")]

    def phones(self, samples: FloatArray, text: str) -> list[Phone] | None:
        """ARPAbet phones with times in seconds, or None when a word is unknown or the words do not fit.

        Args:
            samples: float32 ``(n,)`` mono 16 kHz.
            text: what is said.
        """
        decoder, words = self._decoder, self.words(text)
        for word in words:
            if decoder.lookup_word(word) is None:
                spelling = _spell(word)
                if spelling is None:
                    return None
                decoder.add_word(word, spelling, True)
        if not words:
            return None
        raw = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        decoder.set_align_text(" ".join(words))
        try:
            for last in (False, True):  # words first, then the phones inside them
                decoder.start_utt()
                decoder.process_raw(raw, full_utt=True)
                decoder.end_utt()
                if not last:
                    decoder.set_alignment()
            alignment = decoder.get_alignment()
        except RuntimeError:
            return None
        if alignment is None:
            return None
        return [(p.start / 100, (p.start + p.duration) / 100, str(p.name)) for w in alignment for p in w]

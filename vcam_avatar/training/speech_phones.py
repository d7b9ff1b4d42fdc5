"""Phones of several alphabets -> 15 visemes on a millisecond grid."""

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.stages.visemes import VISEMES

UNKNOWN = -1
"""Where nothing is known about the mouth."""
DIPHTHONG_TURN = 0.6
"""Share of a diphthong that shows its first vowel."""
LAG_S = {"kokoro": 0.057, "hibari": 0.057, "piper": 0.03, "espeak": 0.01}
"""How much later a synthesiser's phone times are than the forced alignment of the same sound; measured as the
shift of best agreement."""

ARPABET = {
    "SIL": "sil", "P": "PP", "B": "PP", "M": "PP", "F": "FF", "V": "FF", "TH": "TH", "DH": "TH", "T": "DD",
    "D": "DD", "K": "kk", "G": "kk", "NG": "nn", "HH": "kk", "CH": "CH", "JH": "CH", "SH": "CH", "ZH": "CH",
    "S": "SS", "Z": "SS", "N": "nn", "L": "nn", "R": "RR", "ER": "RR", "AA": "aa", "AH": "aa", "AE": "aa",
    "EH": "E", "EY": "E", "IH": "I", "IY": "I", "Y": "I", "AO": "O", "OW": "O", "UH": "U", "UW": "U",
    "W": "U", "AY": "aa", "AW": "aa", "OY": "O",
}  # fmt: skip
ARPABET_SECOND = {"AY": "I", "AW": "U", "OY": "I", "EY": "I", "OW": "U"}

_IPA_GROUPS = {
    "PP": "pbm", "FF": "fvʋɸ", "TH": "θð", "DD": "tdɾʈɖɽT", "kk": "kɡghxɣχçʝqɟcɦ", "CH": "ʃʒʧʤɕʑʂʐʨʥꭧ",
    "SS": "szʣʦ", "nn": "nŋɲɳɴlʎɫ", "RR": "ɹrʁɻɜɚɝ", "aa": "aɑæɐʌəᵊɒ", "E": "eɛAøœ", "I": "iɪɨᵻjyɤ",
    "O": "oɔOQY", "U": "uʊwɯɥβ",
}  # fmt: skip
IPA = {c: viseme for viseme, letters in _IPA_GROUPS.items() for c in letters} | {"I": "aa", "W": "aa"}
IPA_SECOND = {"A": "I", "I": "I", "W": "U", "Y": "I", "O": "U", "Q": "U"}
_STRESS = "ˈˌ"
_TAIL = "ː̃ʲ→↗↓↘ʔ̩̯ᵝ^"

Phone = tuple[float, float, str]
"""Start and end in seconds, symbol."""


def viseme_track(phones: list[Phone], seconds: float, *, ipa: bool) -> NDArray[np.int8]:
    """Viseme of every millisecond, int8 ``(ceil(1000 seconds),)``; what no phone covers is silence.

    Raises:
        KeyError: an unknown symbol.
    """
    names = list(VISEMES)
    first, second = (IPA, IPA_SECOND) if ipa else (ARPABET, ARPABET_SECOND)
    track = np.zeros(int(np.ceil(seconds * 1000)), np.int8)
    for start, end, symbol in phones:
        symbol = symbol if ipa else symbol.rstrip("012")
        a, b = max(0, round(start * 1000)), max(0, round(end * 1000))
        track[a:b] = names.index("sil" if symbol == "" else first[symbol])
        if symbol in second:
            track[a + int(DIPHTHONG_TURN * (b - a)) : b] = names.index(second[symbol])
    return track


def from_synthesiser(tokens: list[Phone], lag_s: float) -> list[Phone]:
    """A synthesiser's gapless tokens -> phones: marks give their time to the sound they belong to, spaces to
    both neighbours, punctuation and padding are silence (symbol ""). Times move ``lag_s`` earlier."""
    out: list[Phone] = []
    pending: float | None = None
    for start, end, symbol in tokens:
        start, end = start - lag_s, end - lag_s
        if symbol and symbol in _STRESS:
            pending = start if pending is None else pending
        elif symbol and symbol in _TAIL and out:
            out[-1] = (out[-1][0], end, out[-1][2])
        elif symbol == " ":
            if out and out[-1][2]:
                middle = (start + end) / 2
                out[-1] = (out[-1][0], middle, out[-1][2])
                pending = middle
            elif out:
                out[-1] = (out[-1][0], end, "")
        else:
            symbol = {"ʰ": "h"}.get(symbol, symbol)
            sound = symbol if symbol in IPA else ""
            out.append((start if pending is None else pending, end, sound))
            pending = None
    return out

"""Formant speech of many languages and voices with phone times, by the eSpeak NG library.

    python -m vcam_avatar.training.speech_espeak OUT --clips 300

Unnatural, but it covers pitches, tract lengths and languages that no other source has. Needs the
``espeak-ng`` package of the system.
"""

import argparse
import ctypes
import ctypes.util
import json
from pathlib import Path

import numpy as np
import soundfile
import soxr

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.training.speech_phones import IPA, Phone
from vcam_avatar.training.speech_text import SENTENCES

_PHONEME_EVENT, _END_EVENT = 7, 6
_OPTIONS = 0x0001 | 0x0002  # phoneme events, as IPA
_LANGUAGES = ("en-us", "en-gb", "es", "fr-fr", "hi", "pt-br", "de", "ru", "pl", "tr", "sw", "id")
_VARIANTS = (
    "m1",
    "m2",
    "m3",
    "m4",
    "m5",
    "m6",
    "m7",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "croak",
    "klatt",
    "klatt2",
)
_LOOSE = {
    "de": ("Guten Abend, heute sprechen wir über das Wetter.", "Bitte bring mir ein paar Brötchen mit."),
    "ru": ("Добрый вечер, сегодня мы поговорим о погоде в горах.", "Мама купила большую бутылку молока."),
    "pl": ("Dzień dobry, proszę bardzo podać mi bilet.", "Pamiętam, że babcia piekła pyszne bułki."),
    "tr": ("Merhaba, bugün hava çok güzel, parka gidelim mi?", "Babam bana mavi bir bisiklet aldı."),
    "sw": ("Habari za asubuhi, mimi ninapenda kusoma vitabu.", "Mama anapika chakula kizuri jikoni."),
    "id": ("Selamat pagi, apa kabar semua teman saya?", "Bapak membeli buah pisang di pasar."),
}  # fmt: skip


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", ctypes.c_char * 8),
    )  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """One library instance; not for several threads."""

    def __init__(self) -> None:
        """Raises:
        OSError: the library is not installed.
        """
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise OSError("libespeak-ng is not installed: apt-get install espeak-ng")
        self._lib = ctypes.CDLL(name)
        self.rate_hz = int(self._lib.espeak_Initialize(2, 0, None, _OPTIONS))
        self._parts: list[FloatArray] = []
        self._marks: list[tuple[float, str]] = []
        self._callback = _CALLBACK(self._take)  # kept: the library holds only a pointer
        self._lib.espeak_SetSynthCallback(self._callback)

    def _take(
        self, wave: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        if wave and count > 0:
            self._parts.append(np.ctypeslib.as_array(wave, (count,)).astype(np.float32) / np.float32(32768))
        k = 0
        while events[k].type != 0:
            if events[k].type == _PHONEME_EVENT:
                self._marks.append((events[k].audio_position / 1000, events[k].id.decode("utf-8", "ignore")))
            k += 1
        return 0

    def say(self, text: str, voice: str, rate: int, pitch: int) -> tuple[FloatArray, list[Phone]]:
        """Speak; float32 samples at 16 kHz and gapless phones (symbol "" = pause).

        Args:
            text: what to say.
            voice: language and variant, such as ``es+f2``.
            rate: words per minute, 80-450.
            pitch: 0-99.
        """
        self._parts, self._marks = [], []
        self._lib.espeak_SetVoiceByName(voice.encode())
        self._lib.espeak_SetParameter(1, rate, 0)
        self._lib.espeak_SetParameter(3, pitch, 0)
        data = text.encode()
        self._lib.espeak_Synth(data, len(data) + 1, 0, 0, 0, 1, None, None)
        self._lib.espeak_Synchronize()
        samples = soxr.resample(np.concatenate(self._parts), self.rate_hz, SAMPLE_RATE_HZ)
        ends = [start for start, _ in self._marks[1:]] + [len(samples) / SAMPLE_RATE_HZ]
        phones: list[Phone] = []
        for (start, symbol), end in zip(self._marks, ends, strict=True):
            sounds = [c for c in symbol if c in IPA]
            for k, c in enumerate(sounds or [""]):
                share = (end - start) / max(1, len(sounds))
                phones.append((start + k * share, start + (k + 1) * share, c))
        return np.asarray(samples, np.float32), phones


def main(argv: list[str] | None = None) -> int:
    """Write clips and ``clips.jsonl`` as ``speech_tts`` does."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=300)
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    engine, rows = Espeak(), []
    for number in range(options.clips):
        rng = np.random.default_rng([number, 99])
        language = str(rng.choice(_LANGUAGES))
        sentences = _LOOSE.get(language) or SENTENCES["en-us" if language.startswith("en") else language]
        text = str(rng.choice(list(sentences)))
        voice = f"{language}+{rng.choice(_VARIANTS)}"
        samples, phones = engine.say(text, voice, int(rng.uniform(110, 210)), int(rng.uniform(15, 85)))
        name = f"espeak_{number:05d}"
        soundfile.write(options.out / f"{name}.flac", samples, SAMPLE_RATE_HZ)
        times = [(round(s, 4), round(e, 4), c) for s, e, c in phones]
        rows.append(
            {
                "id": name,
                "voices": {"espeak": 1.0},
                "language": language,
                "split": "train",
                "text": text,
                "phones": times,
            }
        )
    (options.out / "clips.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

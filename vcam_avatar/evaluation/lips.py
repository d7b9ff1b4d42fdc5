"""How good the lips are: measures L1 to L6, with baselines from the same run.

python -m vcam_avatar.evaluation.lips --sets SETS [--model lips.onnx] [--json FILE] [--split dev|test]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.evaluation.lips_hear import Ear
from vcam_avatar.evaluation.lips_measures import (
    Clips,
    closing_ms,
    closures,
    drive,
    open_shares,
    opening_baselines,
    opening_fit,
    silence,
    viseme_accuracy,
)
from vcam_avatar.evaluation.lips_onsets import voice_gate_cost
from vcam_avatar.evaluation.lips_peers import compare
from vcam_avatar.evaluation.lips_sounds import silences, spoilers
from vcam_avatar.evaluation.report import Result, Value, not_measured, report
from vcam_avatar.inference import Network
from vcam_avatar.resources import models_dir
from vcam_avatar.training.speech_clips import Clip


def measure_clips(
    ear: Ear,
    clips: Clips,
    *,
    robust: bool = True,
    peers: bool = False,
    headaudio: Path | None = None,
) -> dict[str, Result]:
    """Measure L1 to L6 and how they stand up to bad sound.

    Args:
        ear: network and decoder to measure.
        clips: held-out clips; a measure whose clips are absent is listed as not measured.
        robust: also measure spoilt speech.
        peers: also run other packages on L4's clips, those that are installed.
        headaudio: folder of the unpacked npm package.
    """
    groups, phones = clips.opening_groups(), clips.phone_groups()
    results = {"L1": _l1(ear, clips), "L2": _l2(ear, clips)}
    if groups:
        fits = {name: opening_fit(ear, members) for name, members in groups.items()}
        n = sum(map(len, groups.values()))
        results["L3"] = _l3(fits, n, opening_baselines(clips))
        results["L6"] = _l6(fits, n)
    else:
        results["L3"] = not_measured("r", _AIM_L3, "no clips with measured lips")
        results["L6"] = not_measured("ours / real", _AIM_L6, "no clips with measured lips")
    results["L4"] = _l4(ear, phones, compare(phones, headaudio) if peers else {})
    results["L5"] = _l5(ear, groups)
    if robust:
        results["L_robust"] = _robust(ear, clips, groups, phones)
        results["L_voice"] = _voice(ear, clips)
    return dict(sorted(results.items()))


_AIM_L3 = ">= .75 / .78 / .88 (GRID others / FACEGOOD / GRID s1); lag within 20 ms"
_COLLAPSED_PERCENT = 1.0
_AIM_L6 = "events 0.95-1.05; flutter <= 1.1"


def _l1(ear: Ear, clips: Clips) -> Result:
    quiet = silence(ear, clips)
    holds = (
        quiet["worst_percent"] <= 0.1
        and (quiet["music_percent"] or 0) <= 3
        and (quiet["closed_after_ms_p95"] or 0) <= 120
    )
    return Result(
        quiet, "% of frames open; ms", "<= 0.1 %; music <= 3 %; closed <= 120 ms (p95)", holds,
        "30 s of each sound; unseen music at -35 dBFS; held-out clips cut at the last phone", quiet["n"],
        {"always shut": 0.0, "MuseTalk, Wav2Lip-GAN (published)": 46},
    )  # fmt: skip


def _l2(ear: Ear, clips: Clips) -> Result:
    aim = "ratio >= 6; closed >= 95 %"
    shut = closures(ear, clips)
    if not shut["n"]:
        return not_measured("ratio; %", aim, "no clips with phone times")
    return Result(
        shut, "ratio; %", aim, shut["ratio"] >= 6 and shut["closed_percent"] >= 95,
        "decoded curve (the picture: L2_picture), held-out woman, man, GRID s1", shut["n"],
        {"real video": 4.0, "Wav2Lip": 3.0},
    )  # fmt: skip


def _l3(fits: dict[str, dict[str, float]], n: int, baselines: dict[str, dict[str, float]]) -> Result:
    aims = {"grid-others": 0.75, "facegood": 0.78, "grid-s1": 0.88}
    holds = all(v["r"] >= aims[k] and abs(v["lag_ms"]) <= 20 for k, v in fits.items())
    value = {k: {"r": v["r"], "lag_ms": v["lag_ms"]} for k, v in fits.items()}
    data = "GRID people never trained on, FACEGOOD 3_16, held-out clips of GRID s1; after all gates"
    return Result(value, "r at lag 0", _AIM_L3, holds, data, n, baselines)


def _l4(ear: Ear, phones: dict[str, list[Clip]], peers: dict[str, Any]) -> Result:
    aim = "(a) >= 80, (b) >= 65 at 20 ms"
    accuracy = {
        name: {str(ms): viseme_accuracy(ear, members, ms) for ms in ear.network.look_ahead_ms}
        for name, members in phones.items()
    }
    known = [accuracy[g]["20"]["accuracy"] for g in ("woman", "man") if g in accuracy]
    fresh = [accuracy[g]["20"]["accuracy"] for g in ("librivox", "grid-others", "piper") if g in accuracy]
    if not known or not fresh:
        return not_measured("% of 10 ms rows", aim, "no clips with phone times")
    return Result(
        accuracy, "% of 10 ms rows", aim, min(known) >= 80 and min(fresh) >= 65,
        "(a) woman, man, grid-s1: held-out clips; (b) librivox, grid-others, piper: voices never trained on; "
        "italian: a language never trained on", sum(map(len, phones.values())),
        {"commonest viseme": {name: v["20"]["commonest"] for name, v in accuracy.items()}, **peers},
    )  # fmt: skip


def _l5(ear: Ear, groups: dict[str, list[Clip]]) -> Result:
    aim = "own - other >= 0.5; 500 +- 40 ms"
    members = groups.get("grid-others", []) + groups.get("grid-s1", [])
    if len(members) < 2:
        return not_measured("r; ms", aim, "no clips with measured lips")
    driven = drive(ear, members)
    holds = driven["own_minus_other"] >= 0.5 and abs(driven["shift_ms"] - 500) <= 40
    return Result(driven, "r; ms", aim, holds, "GRID", len(members), {"always shut": 0.0})


def _l6(fits: dict[str, dict[str, float]], n: int) -> Result:
    value = {k: {"events": v["events"], "flutter": v["flutter"]} for k, v in fits.items()}
    holds = all(0.95 <= v["events"] <= 1.05 and v["flutter"] <= 1.1 for v in value.values())
    published: dict[str, Value] = {"MuseTalk": "0.22-0.53", "best published": 0.94}
    return Result(value, "ours / real", _AIM_L6, holds, "as L3", n, published)


def _robust(ear: Ear, clips: Clips, groups: dict[str, list[Clip]], phones: dict[str, list[Clip]]) -> Result:
    value: dict[str, dict[str, float]] = {}
    quiet = silences(12.0)
    spoken = clips.of("woman", "man", "piper")[::4]
    for name, spoil in spoilers().items():
        shares = open_shares(ear, quiet, spoil)
        late = closing_ms(ear, spoken, spoil)
        value[name] = {"open %": round(max(shares.values()), 2)}
        if late:
            value[name]["shut after ms"] = float(np.percentile(late, 95))
        value[name] |= {g: opening_fit(ear, m, spoil)["r"] for g, m in groups.items()}
        for g in ("woman", "man", "librivox"):
            if g in phones:
                members = phones[g][::3] if len(phones[g]) > 10 else phones[g]
                value[name][g] = viseme_accuracy(ear, members, 20, spoil)["accuracy"]
    # Half of what clean speech gives, in everything, and lips that stay shut: nothing collapses.
    fits = [g for g in value["clean"] if g not in ("open %", "shut after ms")]
    holds = all(
        v["open %"] <= _COLLAPSED_PERCENT and all(v[g] >= 0.5 * value["clean"][g] for g in fits)
        for v in value.values()
    )
    aim = "r and visemes: none below half of clean; <= 1 % open in the worst of eleven sounds"
    return Result(value, "% ; ms; r; %", aim, holds, "L1, L3 and L4, spoilt", len(value))


def _voice(ear: Ear, clips: Clips) -> Result:
    aim = "openings <= 40 ms later (p95)"
    heard = [
        c for v in ("woman", "man", "librivox", "grid-others", "piper", "facegood") for c in clips.of(v)[:12]
    ]
    if not heard:
        return not_measured("ms; %", aim, "no clips")
    cost = voice_gate_cost(ear, heard)
    holds = all(v["later_ms_p95"] <= 40 for v in cost.values())
    value: dict[str, Value] = dict(cost)
    return Result(
        value, "ms; %", aim, holds, "held-out clips, with and without the ear for voices", len(heard)
    )


def measure(data: Path, quick: bool) -> dict[str, Result]:
    """L1 to L6 of the shipped network; what is absent is listed as not measured.

    Args:
        data: folder with the held-out sets; the speech sets made from it are kept in the user's cache.
        quick: leave out spoilt speech.
    """
    return measure_clips(Ear(), Clips.load(held_out_sets(data), "test"), robust=not quick)


def held_out_sets(data: Path) -> Path:
    """Folder of speech sets: those that training made in the checkout, else made once from ``data``."""
    import platformdirs

    from vcam_avatar.training import speech

    mine = models_dir().parent / ".work/lips/sets"
    if list(mine.glob("*.npz")):
        return mine
    made = Path(platformdirs.user_cache_dir("vcam-avatar", appauthor=False)) / "speech"
    if not list(made.glob("*.npz")):
        speech.main(
            [str(made), "--data", str(data), "--only", "woman", "man", "facegood", "librivox", "noise"]
        )
    return made


def main(argv: list[str] | None = None) -> int:
    """Print the table; with ``--json`` also write the object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=Path, default=Path(".work/lips/sets"))
    parser.add_argument("--model", type=Path, help="default: the shipped one")
    parser.add_argument("--split", choices=["dev", "test"], default="test")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="leave out spoilt speech")
    parser.add_argument("--peers", action="store_true", help="also run pylipsync and headaudio")
    parser.add_argument("--headaudio", type=Path, help="folder of the unpacked npm package")
    options = parser.parse_args(argv)
    ear = Ear(Network(options.model) if options.model else None)
    results = measure_clips(
        ear,
        Clips.load(options.sets, options.split),
        robust=not options.quick,
        peers=options.peers,
        headaudio=options.headaudio,
    )
    content = report(results)
    for name, entry in results.items():
        print(f"{name}  {'holds' if entry.holds else 'MISSES'}  target {entry.target}")
        print("    ", json.dumps(entry.value))
        print("     baselines", json.dumps(entry.baselines))
    if options.json:
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

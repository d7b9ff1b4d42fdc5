"""The lip network learns, and what is exported is what was trained."""

from pathlib import Path

import numpy as np
import pytest

from vcam_avatar.media import FloatArray

pytestmark = pytest.mark.train


def _sets(folder: Path) -> None:
    """Two 'phones' that are easy to tell apart, with an opening that follows them; and some noise."""
    from vcam_avatar.training.speech_clips import CURVES, Clip, save_clips

    rng, clips = np.random.default_rng(0), []
    for k in range(14):
        track = np.repeat(rng.integers(0, 2, 20) * 10, 150).astype(np.int8)
        t = np.arange(48_000) / 16_000
        voice = np.sign(np.sin(2 * np.pi * 150 * t)) * 0.2
        sound = np.where(np.repeat(track, 16) > 0, voice, 0.002 * rng.standard_normal(48_000))
        curves = np.full((75, len(CURVES)), np.nan, np.float32)
        curves[:, 0] = track[20::40][:75] > 0
        seen = k % 2 == 0
        clips.append(
            Clip(
                str(k), "grid-s1" if seen else "man", "en", "dev" if k > 11 else "train",
                sound.astype(np.float32), track, curves if seen else None,
            )
        )  # fmt: skip
    clips.append(Clip("n", "noise", "", "train", (0.01 * rng.standard_normal(32_000)).astype(np.float32)))
    save_clips(folder / "toy.npz", clips)


def test_learns_exports_and_streams(tmp_path: Path) -> None:
    import json

    from vcam_avatar.evaluation.lips_hear import Ear
    from vcam_avatar.inference import Network
    from vcam_avatar.training import lips, lips_export
    from vcam_avatar.training.speech_clips import load_clips

    _sets(tmp_path)
    card = tmp_path / "card.json"
    card.write_text(
        json.dumps({"training_data": [{"name": "toy", "licence": "none", "amount": "42 s"}], "recipe": "toy"})
    )
    target = tmp_path / "lips.onnx"
    arguments = [
        str(tmp_path),
        str(tmp_path / "out"),
        "--minutes",
        "0.25",
        "--channels",
        "24",
        "--dilations",
        "1",
        "2",
    ]
    assert lips.main([*arguments, "--export", str(target), "--card", str(card)]) == 0
    _, stored = lips_export.load(tmp_path / "out/lips.pt")
    assert stored["dev"]["r_grid-s1"] > 0.6
    clip = load_clips(tmp_path / "toy.npz")[0]
    heard = Ear(Network(target)).hear(clip.samples, 20)
    assert clip.visemes is not None
    inside = (heard.times_ms > 100) & (heard.times_ms < 2900)
    open_ = clip.visemes[heard.times_ms[inside].astype(int)] > 0
    curve = heard.curves[inside, 0]
    assert curve[open_].mean() > curve[~open_].mean() + 0.3


def test_unknown_labels_cost_nothing() -> None:
    import torch

    from vcam_avatar.training.lips import losses

    raw = torch.randn(2, 3, 21, 30, requires_grad=True)
    visemes = torch.full((2, 3, 30), -1)
    visemes[0] = 1
    curves = torch.full((2, 3, 6, 30), float("nan"))
    curves[0, :, 0] = 0.5
    parts = losses(raw, visemes, curves, torch.ones(2), torch.ones(15))
    torch.stack(list(parts.values())).sum().backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
    assert raw.grad[1].abs().max() == 0
    assert raw.grad[0, :, 16:].abs().max() == 0
    assert raw.grad[0, :, :16].abs().max() > 0


def test_articulation_follows_the_phones() -> None:
    from vcam_avatar.training.lips_articulate import Articulation
    from vcam_avatar.training.speech_clips import CURVES, Clip

    rng, clips = np.random.default_rng(1), []
    for k in range(8):
        track = np.repeat(rng.choice([0, 1, 10], 30), 100).astype(np.int8)
        curves = np.full((75, len(CURVES)), np.nan, np.float32)
        curves[:, 0] = track[20::40] == 10
        clips.append(Clip(str(k), "v", "en", "train", np.zeros(48_000, np.float32), track, curves))
    opening: FloatArray = Articulation(clips).opening(clips[0].visemes)  # type: ignore[arg-type]
    assert clips[0].visemes is not None
    vowel = clips[0].visemes[5::10] == 10
    assert opening[vowel].mean() > opening[~vowel].mean() + 0.4
    assert opening[clips[0].visemes[5::10] == 0].max() == 0
    with pytest.raises(ValueError, match="no clip has both"):
        Articulation([])

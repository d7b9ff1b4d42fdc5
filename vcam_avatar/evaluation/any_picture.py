"""S6: many kinds of picture through ``avatars create``, each in a process of its own: result and wall time.

The pictures are made here from the astronaut of scikit-image, other pictures that it ships, a preset and,
with ``--data``, the photo-like half bodies. Linux: the avatars go to ``OUT/data`` by ``XDG_DATA_HOME``.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from vcam_avatar import resources
from vcam_avatar.media import ByteArray

TARGET_S = 10.0
_TIME_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture."""

    picture: str
    seconds: float
    """Wall time of the command."""
    status: int
    """Exit status."""
    said: str
    """The reason when refused, else the notes."""

    @property
    def kept(self) -> bool:
        """Refused in one line with its own status, or made; within the time."""
        clean = "Traceback" not in self.said and (self.status == 0 or bool(self.said))
        return clean and self.status in (0, 3, 5) and self.seconds <= TARGET_S


def _shipped(name: str) -> Image.Image:
    from skimage import data

    return Image.fromarray(getattr(data, name)())


def _astronaut() -> Image.Image:
    return _shipped("astronaut")


def _sketch(colour: bool) -> Image.Image:
    large = np.asarray(_astronaut().resize((1024, 1024), Image.Resampling.LANCZOS))
    grey, coloured = cv2.pencilSketch(np.ascontiguousarray(large[..., ::-1]), sigma_s=60, shade_factor=0.05)
    picture = coloured if colour else cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    return Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))


def _pair() -> Image.Image:
    pair = Image.new("RGB", (1024, 512), (90, 110, 120))
    pair.paste(_astronaut(), (0, 0))
    pair.paste(_astronaut().resize((440, 440)), (560, 72))
    return pair


def _render_3d() -> Image.Image:
    drawn = Image.open(resources.presets_dir() / "kenji" / "picture.png").convert("RGBA")
    behind = Image.new("RGBA", drawn.size, (216, 224, 236, 255))
    return Image.alpha_composite(behind, drawn).convert("RGB")


def _ellipse_cut() -> Image.Image:
    ellipse: ByteArray = np.zeros((512, 512), np.uint8)
    cv2.ellipse(ellipse, (220, 330), (240, 340), 0, 0, 360, 255, -1)
    cut = _astronaut().convert("RGBA")
    cut.putalpha(Image.fromarray(ellipse))
    return cut


def _wide_file() -> Image.Image:
    frame = Image.new("RGB", (853, 480), (70, 80, 95))
    frame.paste(_astronaut().resize((480, 480)), (190, 0))
    return frame


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _astronaut().rotate(90, expand=True).save(path, exif=exif)


def _large(path: Path) -> None:
    large = Image.new("RGB", (4000, 6000), (90, 110, 120))
    large.paste(_astronaut().resize((3072, 3072)), (460, 2928))
    large.save(path)


def _grey16(path: Path) -> None:
    Image.fromarray(np.asarray(_astronaut().convert("L")).astype(np.uint16) * 257).save(path)


def _animated(path: Path) -> None:
    _astronaut().save(path, save_all=True, append_images=[_astronaut().rotate(5)])


def _truncated(path: Path) -> None:
    _astronaut().save(path)
    path.write_bytes(path.read_bytes()[:20_000])


KINDS: dict[str, Callable[[Path], None]] = {
    "853x480.png": lambda path: _wide_file().save(path),
    "1x1.png": lambda path: Image.new("RGB", (1, 1)).save(path),
    "4000x6000.jpg": _large,
    "rgba.png": lambda path: _ellipse_cut().save(path),
    "exif-turned.jpg": _turned,
    "grey.png": lambda path: _astronaut().convert("L").save(path),
    "16-bit.png": _grey16,
    "animated.gif": _animated,
    "truncated.jpg": _truncated,
    "no-person.png": lambda path: _shipped("coffee").save(path),
    "two-people.png": lambda path: _pair().save(path),
    "astronaut.png": lambda path: _astronaut().save(path),
    "head-only.png": lambda path: _astronaut().crop((140, 0, 310, 170)).resize((680, 680)).save(path),
    "cat.png": lambda path: _shipped("chelsea").save(path),
    "landscape.jpg": lambda path: _shipped("rocket").save(path),
    "render-3d.png": lambda path: _render_3d().save(path),
    "pencil.png": lambda path: _sketch(False).save(path),
    "colour-pencil.png": lambda path: _sketch(True).save(path),
}
"""Writers of the pictures, by file name."""


def create(picture: Path, data_home: Path, arguments: tuple[str, ...] = ()) -> Outcome:
    """Run ``vcam-avatar avatars create PICTURE`` as a user would, avatars below ``data_home``."""
    command = [sys.executable, "-c", "from vcam_avatar.cli.main import main; raise SystemExit(main())"]
    command += ["avatars", "create", str(picture), "--replace", *arguments]
    started = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, "XDG_DATA_HOME": str(data_home)},
        capture_output=True,
        text=True,
        timeout=_TIME_LIMIT_S,
        check=False,
    )
    seconds = time.perf_counter() - started
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line.endswith(" ...")]
    return Outcome(
        picture.name, round(seconds, 2), done.returncode, "; ".join(lines).replace(str(picture), "PICTURE")
    )


def table(outcomes: list[Outcome]) -> str:
    """Text with one line per picture and a closing line."""
    rows = [f"{'picture':24} {'s':>5}  result"]
    for outcome in outcomes:
        result = "avatar" if outcome.status == 0 else f"refused ({outcome.status})"
        mark = "" if outcome.kept else "  <-- WRONG"
        rows.append(
            f"{outcome.picture:24} {outcome.seconds:5.1f}  {result}: {outcome.said or 'no notes'}{mark}"
        )
    made = [outcome.seconds for outcome in outcomes if outcome.status == 0]
    wrong = sum(not outcome.kept for outcome in outcomes)
    rows.append(
        f"{len(outcomes)} pictures, {len(made)} avatars, {len(outcomes) - len(made)} refused, {wrong} wrong; "
        f"seconds per avatar: median {np.median(made) if made else 0:.1f}, most {max(made, default=0):.1f} "
        f"(target {TARGET_S:.0f})"
    )
    return "\n".join(rows)


def main(argv: list[str] | None = None) -> int:
    """``python -m vcam_avatar.evaluation.any_picture OUT [--data DIR] [PICTURE...]``."""
    parser = argparse.ArgumentParser(description="Many kinds of picture through 'avatars create'.")
    parser.add_argument("out", type=Path, help="folder for pictures, avatars and results")
    parser.add_argument("more", type=Path, nargs="*", help="further pictures")
    parser.add_argument("--data", type=Path, help="folder with echomimic_v2/avatars")
    parser.add_argument("--photos", type=int, default=20, help="how many of its pictures, evenly chosen")
    parser.add_argument("--no-kinds", action="store_true", help="only the photos and further pictures")
    options = parser.parse_args(argv)
    pictures = options.out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, write in {} if options.no_kinds else KINDS.items():
        write(pictures / name)
        paths.append(pictures / name)
    if options.data is not None:
        photos = sorted((options.data / "echomimic_v2" / "avatars").glob("*.jpg"))
        chosen = np.linspace(0, len(photos) - 1, min(options.photos, len(photos))).round().astype(int)
        paths += [photos[index] for index in chosen]
    outcomes = []
    for path in [*paths, *options.more]:
        outcomes.append(create(path, options.out.resolve() / "data"))
        print(f"{outcomes[-1].picture} {outcomes[-1].seconds} s", file=sys.stderr)
    (options.out / "results.json").write_text(json.dumps([asdict(o) for o in outcomes], indent=1), "utf-8")
    print(table(outcomes))
    return int(any(not outcome.kept for outcome in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())

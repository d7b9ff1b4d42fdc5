"""Face landmarks of talking people, for ``training.speech --grid-landmarks``.

python -m vcam_avatar.training.speech_faces OUT.npz VIDEO...
"""

import argparse
from pathlib import Path

import av
import numpy as np

from vcam_avatar.avatars.people import PeopleReader, face_region
from vcam_avatar.media import FloatArray


def landmarks(path: Path, reader: PeopleReader) -> FloatArray:
    """Face mesh of every frame, float32 ``(frames, 478, 2)`` in pixels, NaN where no face was found.

    Raises:
        av.FFmpegError: the video cannot be read.
    """
    out, region = [], None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            face = reader.read_face(picture, region) if region is not None else None
            if face is None or face.presence < 0.5:
                face = next(iter(reader.faces(picture, most=1)), None)
            region = face_region(face.mesh_px) if face is not None else None
            out.append(np.full((478, 2), np.nan, np.float32) if face is None else face.mesh_px)
    return np.array(out, np.float32)


def main(argv: list[str] | None = None) -> int:
    """Measure every video; name without extension -> landmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    options = parser.parse_args(argv)
    reader = PeopleReader()
    np.savez_compressed(options.out, **{v.stem: landmarks(v, reader) for v in options.videos})  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

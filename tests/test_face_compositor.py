import time

import cv2
import numpy as np
import pytest

from vcam_avatar.media import Body, FacePatch
from vcam_avatar.stages.compositor import Compositor

RNG = np.random.default_rng(5)


def square_grid(x: float, y: float, side: float, count: int = 9, turn: float = 0.0) -> np.ndarray:
    """The face crop as a square in the frame, turned about its middle by ``turn`` radians."""
    unit = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, count), np.linspace(-0.5, 0.5, count)), -1)
    cos, sin = np.cos(turn), np.sin(turn)
    turned = unit @ np.array([[cos, sin], [-sin, cos]])
    return (turned * side + [x + side / 2, y + side / 2]).astype(np.float32)


def smooth(height: int, width: int) -> np.ndarray:
    return cv2.GaussianBlur(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 4)


def body_of(image: np.ndarray, grid: np.ndarray, occlusion: np.ndarray | None = None) -> Body:
    return Body(image, grid, occlusion)


def opaque(image: np.ndarray) -> FacePatch:
    alpha = np.full((*image.shape[:2], 1), 255, np.uint8)
    return FacePatch(np.ascontiguousarray(np.concatenate([image, alpha], -1)))


@pytest.mark.parametrize(("x", "y"), [(40, 30), (0, 0), (-20, 60), (110, 90)])
def test_a_patch_on_whole_pixels_is_placed_exactly(x: int, y: int) -> None:
    image, face = smooth(120, 160), smooth(64, 64)
    frame = Compositor().compose(body_of(image, square_grid(x, y, 64)), opaque(face))
    expected = image.copy()
    y0, y1, x0, x1 = max(0, y), min(120, y + 64), max(0, x), min(160, x + 64)
    expected[y0:y1, x0:x1] = face[y0 - y : y1 - y, x0 - x : x1 - x]
    np.testing.assert_array_equal(frame, expected)


def test_sub_pixel_places_are_kept() -> None:
    face = smooth(64, 64)
    for shift in (0.25, 0.5, 0.75):
        body = body_of(np.zeros((96, 96, 3), np.uint8), square_grid(16 + shift, 16, 64))
        frame = Compositor().compose(body, opaque(face))
        half = face[:, :-1] * shift + face[:, 1:] * (1 - shift)
        assert np.abs(frame[16:80, 17:80] - half).max() <= 1.5


def test_no_seam_when_the_patch_shows_what_the_body_shows() -> None:
    image = smooth(200, 240)
    grid = square_grid(60.4, 40.7, 100, 17, 0.2)
    size = 128
    # The picture as seen through the grid: what a face generator at rest would draw.
    corners = np.float32([grid[0, 0], grid[0, -1], grid[-1, 0]]) - 0.5
    texture = np.float32([[-0.5, -0.5], [size - 0.5, -0.5], [-0.5, size - 0.5]])
    face = cv2.warpAffine(
        image,
        cv2.getAffineTransform(texture, corners),
        (size, size),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
    )
    frame = Compositor().compose(body_of(image, grid), opaque(face))
    assert np.abs(frame.astype(int) - image).max() <= 6
    assert np.abs(frame.astype(int) - image).mean() < 0.5


def test_a_transparent_patch_changes_no_bit_and_arguments_stay() -> None:
    image = smooth(90, 90)
    patch = RNG.integers(0, 256, (32, 32, 4), dtype=np.uint8)
    patch[..., 3] = 0
    before, patch_before = image.copy(), patch.copy()
    frame = Compositor().compose(body_of(image, square_grid(10, 10, 60)), FacePatch(patch))
    np.testing.assert_array_equal(frame, before)
    assert frame is not image
    patch[8:24, 8:24, 3] = 200
    patch_before = patch.copy()
    Compositor().compose(body_of(image, square_grid(10, 10, 60)), FacePatch(patch))
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(patch, patch_before)


def test_straight_alpha_is_blended_as_it_says() -> None:
    image = np.full((80, 80, 3), 40, np.uint8)
    patch = np.full((40, 40, 4), 240, np.uint8)
    patch[..., 3] = 64
    frame = Compositor().compose(body_of(image, square_grid(20, 20, 40)), FacePatch(patch))
    assert np.abs(frame[20:60, 20:60] - (240 * 64 + 40 * 191) / 255).max() <= 1


def test_a_hand_in_front_of_the_face_stays_in_front() -> None:
    image, face = smooth(120, 120), smooth(64, 64)
    hand = np.zeros((120, 120), np.uint8)
    hand[50:70] = 255
    hand[70:80] = 128
    frame = Compositor().compose(body_of(image, square_grid(28, 28, 64), hand), opaque(face))
    np.testing.assert_array_equal(frame[50:70], image[50:70])
    np.testing.assert_array_equal(frame[28:50, 28:92], face[:22])
    blended = (face[42:52].astype(float) + image[70:80, 28:92]) / 2
    assert np.abs(frame[70:80, 28:92] - blended).max() <= 2


def test_the_same_arguments_give_the_same_bits_from_any_instance() -> None:
    image, face = smooth(120, 120), opaque(smooth(48, 48))
    body = body_of(image, square_grid(20.3, 30.9, 70, 17, -0.3))
    used = Compositor()
    used.compose(body, opaque(smooth(64, 64)))
    np.testing.assert_array_equal(used.compose(body, face), Compositor().compose(body, face))


def test_caller_bugs_are_named() -> None:
    image, grid = smooth(40, 40), square_grid(0, 0, 20)
    with pytest.raises(ValueError, match="body image"):
        Compositor().compose(body_of(image[..., 0], grid), opaque(smooth(8, 8)))
    with pytest.raises(ValueError, match="face patch"):
        Compositor().compose(body_of(image, grid), FacePatch(smooth(8, 8)))
    with pytest.raises(ValueError, match="face grid"):
        Compositor().compose(body_of(image, grid[:, :4]), opaque(smooth(8, 8)))


def test_pasting_a_face_into_720p_takes_little_of_the_budget() -> None:
    body = body_of(smooth(720, 1280), square_grid(500.3, 180.2, 256, 17, 0.1))
    patch, compositor = opaque(smooth(256, 256)), Compositor()
    compositor.compose(body, patch)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        compositor.compose(body, patch)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.006, "the target is 2 ms on an idle core; shared cores get three times that"

"""Arms as straightened strips: cut from the picture where they are seen, made up where they are not."""

import cv2
import numpy as np

from vcam_avatar.avatars.layers import Strip
from vcam_avatar.avatars.layers_cloth import NO_SKIN, Cloth, hue_of, materials
from vcam_avatar.avatars.layers_fill import Mask, blur, even_light, smooth
from vcam_avatar.media import FloatArray

_EVEN = 0.7
"""Share of its shade that made-up cloth loses."""
_START, _END = -0.30, 1.22
"""Rows of an upper arm's strip: from above the shoulder to below the elbow."""


def cut_upper_arm(
    picture: FloatArray,
    alpha: FloatArray,
    skin_bgr: FloatArray,
    arm_bgr: FloatArray,
    *,
    shoulder: FloatArray,
    elbow: FloatArray,
    wrist: FloatArray,
    side: float,
    radius: float,
    elbow_radius: float,
    length_px: float,
    lower: Mask,
    seen: bool,
    sleeve_end: float | None = None,
    seen_end: float | None = None,
    share: FloatArray | None = None,
    sleeve: FloatArray | None = None,
    spare: Cloth | None = None,
) -> tuple[Strip, float, Cloth]:
    """Straighten the upper arm out of the picture.

    Args:
        picture: float32 ``(h, w, 3)`` BGR.
        alpha: float32 ``(h, w)`` person.
        skin_bgr: colour of hands in light.
        arm_bgr: colour of bare arms in light.
        shoulder: and ``elbow``, ``wrist``: pixels.
        side: 1 when the arm lies right of the body in the picture, else -1.
        radius: of the upper arm, pixels.
        elbow_radius: of the arm at the elbow.
        length_px: natural length of the upper arm.
        lower: where forearm and hand cover the picture.
        seen: False: the elbow is guessed; only the shoulder's surroundings are trusted.
        sleeve_end: where the sleeve shall end, when known; else it is read from the picture.
        seen_end: where it ends in the picture: its lower part is moved so that the hem stays.
        share: float32 ``(h, w)``: how much of a pixel is this arm, when the layer network saw it.
        sleeve: float32 ``(h, w)``: how much of it is its sleeve.
        spare: what the other arm shows of its sleeve.

    Returns:
        The strip, where the sleeve ends (0 to 1 on the upper arm, 1 to 2 on the forearm), and what is seen
        of it.
    """
    bone = elbow - shoulder
    seen_length = max(float(np.hypot(*bone)), 1.0)
    seen = seen and seen_length > 0.5 * length_px
    axis = bone / seen_length
    across = np.array([axis[1], -axis[0]])
    half = 1.75 * radius
    rows = max(8, round((_END - _START) * seen_length))
    columns = max(8, round(2 * half))
    t = (_START + (np.arange(rows) + 0.5) / rows * (_END - _START)).astype(np.float32)
    c = ((np.arange(columns) + 0.5) / columns * 2 - 1).astype(np.float32) * half
    at = t
    if sleeve_end is not None and seen_end is not None and 0.3 < min(sleeve_end, seen_end) < 1.1:
        at = t + (seen_end - sleeve_end) * smooth(t, 0.25, 0.8 * sleeve_end)
    map_x = shoulder[0] + at[:, None] * bone[0] + c[None] * across[0] - 0.5
    map_y = shoulder[1] + at[:, None] * bone[1] + c[None] * across[1] - 0.5

    def sample(image: FloatArray) -> FloatArray:
        return np.asarray(
            cv2.remap(image, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE), np.float32,
        )  # fmt: skip

    colour, person = sample(picture), sample(alpha)
    hidden = sample(lower.astype(np.float32)) > 0.3
    outward = c[None] * (1.0 if across[0] * side > 0 else -1.0)
    width = np.interp(t, [0.35, 0.95], [radius, elbow_radius]).astype(np.float32)[:, None]
    inner = np.interp(t, [0.0, 0.3], [0.75, 0.96]).astype(np.float32)[:, None] * width
    # A short sleeve is as wide as it is; bare arms and long sleeves keep to the arm.
    short = sleeve_end is not None and 0.4 < sleeve_end < 0.85
    hem, flare = (max(0.6, sleeve_end or 0), 1.5) if short else (0.6, 1.08)
    reach = np.interp(t, [0.0, 0.35, hem, hem + 0.03], [1.7, 1.6, flare, 1.08])
    limit = reach.astype(np.float32)[:, None] * width
    trusted = (person > 0.9) & ~hidden & (outward > -inner) & (outward < limit) & (at[:, None] < 1.06)
    if not seen:
        trusted &= t[:, None] < 0.5
    if share is not None:
        # Beside the arm lies the torso; the shoulder's cap may count as either.
        trusted &= (sample(share) > 0.4) | (t[:, None] < 0.2)
    if sleeve_end is None:
        sleeve_end = _sleeve_end(trusted, colour, skin_bgr, t, c, radius, picture, elbow, wrist)
    part = None if sleeve is None else sample(sleeve)
    trusted, filled = materials(
        trusted, colour, (skin_bgr, arm_bgr), t, c, radius, width, sleeve_end, part, spare
    )
    keep = blur(trusted, 1.2)[..., None]
    texture = np.where(trusted[..., None], colour * keep + filled * (1 - keep), filled)
    # A made-up inner side lies in the shade of the arm.
    shade = 1 - 0.16 * smooth(-outward, 0.55 * elbow_radius, 1.0 * elbow_radius) * (1 - keep[..., 0])
    texture = texture * shade[..., None]
    usual = trusted & ((t > 0.05) & (t < 0.4))[:, None] & (np.abs(c)[None] < 0.6 * radius)
    if sleeve_end > 0.1 and int(usual.sum()) > 30:
        covered = smooth(t, 0.35, 0.55) * (t < (sleeve_end if sleeve_end < 0.85 else 2.0))
        level = float(np.median(colour[usual].mean(-1)))
        texture = even_light(texture, level, covered[:, None], 0.7 * radius)
        # What is made up has no reason to be in another light at all.
        low = cv2.GaussianBlur(texture.mean(-1), (0, 0), max(0.7 * radius, 1.0))
        gain = np.clip(level / np.maximum(low, 1), 0.8, 2.0) ** _EVEN - 1
        texture = texture * (1 + gain * covered[:, None] * (1 - keep[..., 0]))[..., None]
    if short and seen:
        person = _smooth_sleeve(person, hidden, outward, limit, t, sleeve_end)
    silhouette = _silhouette(
        person, outward, inner, limit, t, width, elbow_radius, seen_length, seen, hem, sleeve_end
    )
    image = np.concatenate([np.clip(texture, 0, 255), silhouette[..., None] * 255], -1)
    strip = Strip(np.rint(image).astype(np.uint8), _START, _END, half, length_px)
    return strip, sleeve_end, Cloth(colour, np.asarray(trusted & (at < min(sleeve_end, 1.0))[:, None]))


def _smooth_sleeve(
    person: FloatArray, hidden: Mask, outward: FloatArray, limit: FloatArray, t: FloatArray, sleeve_end: float
) -> FloatArray:
    """Alpha of the person with the outer edge of a short sleeve as one smooth line down to the hem.

    Hands before the sleeve and what is torn beside it leave steps and barbs else.
    """
    inside = (person > 0.5) & ~hidden & (outward > 0) & (outward < limit)
    reach = np.where(inside, outward, 0).max(1)
    near = (outward > reach[:, None] - 1) & (outward < reach[:, None] + 5)
    seen = (reach > 0) & ~(hidden & near).any(1) & (t > 0.1) & (t < sleeve_end - 0.03)
    if int(seen.sum()) < 6:
        return person
    rows = np.arange(len(t))
    wide = 2 * max(2, round(0.05 / max(float(t[1] - t[0]), 1e-4))) + 1
    known = reach[seen]
    line = np.interp(
        rows, rows[seen], [np.median(known[max(0, k - wide) : k + wide + 1]) for k in range(len(known))]
    )
    line = cv2.GaussianBlur(
        line[:, None].astype(np.float32), (1, 2 * wide + 1), 0, borderType=cv2.BORDER_REPLICATE
    )
    edge = 1 - smooth(outward - line, -1.2, 0.8)
    share = smooth(t, 0.1, 0.25) * (t < sleeve_end)
    outer = smooth(outward, 0.3 * line, 0.6 * line)
    whole = np.where(outward < 0, person, person * (1 - outer) + edge * outer)
    return np.asarray(person * (1 - share[:, None]) + whole * share[:, None], np.float32)


def _silhouette(
    person: FloatArray, outward: FloatArray, inner: FloatArray, limit: FloatArray, t: FloatArray,
    width: FloatArray, elbow_radius: float, length: float, seen: bool, hem: float,
    sleeve_end: float,
) -> FloatArray:  # fmt: skip
    """Alpha of an upper arm: outside the person's own edge, inside a soft line, round at the elbow."""
    rows = t[:, None] * length
    if not seen:
        limit = width
    own = person if seen else np.ones_like(person)
    edge = own * smooth(outward + inner, 0.0, 0.22 * width.max()) * (1 - smooth(outward - limit, -1.5, 1.0))
    # A hole in an arm is a thing seen through it, or between its sleeve and a hand.
    solid = 1 - smooth(np.abs(outward) - 0.86 * width, -1.5, 1.0)
    edge = np.maximum(edge, solid * smooth(t[:, None], 0.2, 0.35))
    # Where the picture hides it, the arm must have an edge all the same.
    plain = 1 - smooth(np.abs(outward) - width, -1.5, 1.0)
    near = smooth(t[:, None], hem + 0.04, 0.92)
    if sleeve_end < 0.85:
        # Bare arms are smooth; the picture's edge is torn where a hand or the torso touches it.
        bare = max(sleeve_end, 0.3)
        near = np.maximum(near, smooth(t[:, None], bare - 0.01, bare + 0.02))
    edge = edge * (1 - near) + np.maximum(np.minimum(edge, plain), plain * (1 - own)) * near
    # Round end below the elbow.
    below = np.maximum(rows - length, 0)
    circle = 1 - smooth(np.hypot(below, outward) - 0.97 * elbow_radius, -1.5, 1.0)
    last = smooth(t[:, None], 0.9, 1.0)
    edge = np.where(rows > length, circle, edge * (1 - last) + plain * last)
    # The shoulder belongs to the torso: fade in, the inner side later.
    start = 0.02 + 0.2 * smooth(-outward, -0.4 * elbow_radius, 0.5 * elbow_radius)
    fade = smooth(t[:, None] - start, -0.16, 0.12)
    if not seen:
        # The torso of a bust may end before the guessed joint: a round shoulder instead of nothing.
        cap = 1 - smooth(np.hypot(np.minimum(rows, 0), outward) - 0.9 * width.max(), -2.0, 1.0)
        fade = np.maximum(fade, np.where(rows < 0, cap, 1.0) * (1 - person))
    out: FloatArray = np.clip(edge * fade, 0, 1).astype(np.float32)
    return out


def _sleeve_end(
    trusted: Mask, colour: FloatArray, skin_bgr: FloatArray, t: FloatArray, c: FloatArray, radius: float,
    picture: FloatArray, elbow: FloatArray, wrist: FloatArray,
) -> float:  # fmt: skip
    """Where cloth becomes skin along the middle of the arm: nearer to skin or to what covers the shoulder."""
    middle = np.abs(c)[None] < 0.6 * radius
    top = ((t > 0.05) & (t < 0.3))[:, None] & middle & trusted
    if int(top.sum()) < 10:
        return 1.5
    cloth_bgr = np.median(colour[top], 0)

    skin, cloth = hue_of(skin_bgr), hue_of(cloth_bgr)
    # A bare shoulder in the light is brighter than the hand, but of the same hue.
    if float(np.linalg.norm((skin - cloth)[:3])) < 0.25 and float(abs(skin - cloth)[3]) < 0.35:
        return 0.0

    def share_of_skin(pixels: FloatArray) -> float:
        if len(pixels) < 5:
            return float("nan")
        where = hue_of(pixels)
        to_skin = np.linalg.norm(where - skin, axis=1)
        nearer = (to_skin < np.linalg.norm(where - cloth, axis=1)) & (to_skin < NO_SKIN)
        return float(nearer.mean())

    bins: list[tuple[float, float]] = []
    for low in np.arange(0.1, 1.0, 0.1):
        rows = (t >= low) & (t < low + 0.1)
        bins.append((low + 0.05, share_of_skin(colour[rows[:, None] & middle & trusted])))
    bone = wrist - elbow
    height, width = picture.shape[:2]
    for low in np.arange(0.05, 0.95, 0.1):
        points = elbow + bone * (low + np.linspace(0, 0.1, 4)[:, None])
        spread = np.array([bone[1], -bone[0]]) / max(float(np.hypot(*bone)), 1.0) * 0.35 * radius
        grid = (points[:, None] + np.linspace(-1, 1, 7)[:, None] * spread).reshape(-1, 2).astype(int)
        inside = (grid >= 0).all(1) & (grid[:, 0] < width) & (grid[:, 1] < height)
        grid = grid[inside]
        bins.append((1 + low + 0.05, share_of_skin(picture[grid[:, 1], grid[:, 0]])))
    known = [(where, share) for where, share in bins if np.isfinite(share)]
    # The best single cut: cloth before, skin after.
    best, end = 1e9, 2.0
    for cut in np.arange(0.0, 2.05, 0.1):
        cost = sum(share if where < cut else 1 - share for where, share in known)
        if cost < best - 1e-6:
            best, end = cost, float(cut)
    return end

"""Synthetic digits, 8x8: deformed font glyphs, and pen strokes along hand-made skeletons.

The bitmaps pass through the steps that NIST's form-reading system applies to handwriting: crop,
scale to 32 rows, thin or thicken toward a usual amount of ink, straighten by a horizontal shear.
The on-pixels of each 4x4 block are then counted, which gives 8x8 values in [0, 1].

References
----------
M. D. Garris et al., NIST Form-Based Handprint Recognition System, NISTIR 5469, 1994.
E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CANVAS, MARGIN = 96, 14
NOT_FONTS = ("LastResort", "cmex", "cmsy")  # they hold no digits under the digits' codes
# ASCII, and the bold, sans-serif, bold sans-serif and monospace digits for mathematics.
DIGIT_BLOCKS = (0x30, 0x1D7CE, 0x1D7E2, 0x1D7EC, 0x1D7F6)

# Ways of writing a digit, one a line; strokes parted by bars; x runs right and y down, in percent
# of the box. The pen follows a spline; a point given twice is a corner.
SKELETONS = """
0: 50,0 15,20 5,55 25,95 60,97 93,65 90,25 50,0
0: 65,3 25,12 5,50 20,90 55,100 90,70 92,30 60,5 40,10
0: 45,2 10,30 10,70 45,100 85,75 90,30 55,5 45,0 42,12
1: 50,0 50,100
1: 20,25 55,0 55,0 55,100
1: 15,30 50,0 50,0 50,100 | 20,100 85,100
1: 25,20 55,0 55,0 50,50 45,100
2: 10,25 35,2 80,10 80,40 45,75 5,100 5,100 95,100
2: 10,20 50,0 85,20 70,55 30,90 10,95 15,80 40,85 70,98 95,90
2: 10,15 50,0 80,25 60,60 10,98 10,98 50,92 95,100
3: 10,12 50,0 85,20 70,43 40,48 75,55 92,78 60,100 8,90
3: 10,3 85,3 85,3 40,42 40,42 80,50 90,78 55,100 8,90
3: 15,15 50,0 80,15 75,40 45,50 45,50 85,60 85,90 45,100 10,88
4: 30,0 10,55 10,55 95,55 | 70,20 65,100
4: 70,100 70,0 70,0 5,65 5,65 100,65
4: 15,0 10,35 30,50 85,45 | 85,0 80,50 75,100
4: 60,0 5,60 5,60 95,60 | 60,35 55,100
5: 20,2 15,45 15,45 55,38 90,60 75,92 40,100 5,90 | 20,2 90,2
5: 90,3 25,3 25,3 15,42 15,42 60,40 88,70 50,100 5,92
5: 85,3 40,5 20,25 40,45 75,60 75,90 40,100 8,92
6: 75,3 35,20 8,60 20,95 60,100 88,75 60,52 20,62 10,75
6: 45,0 15,40 8,75 35,100 75,92 78,65 50,55 15,72
6: 90,10 55,2 15,35 10,75 45,100 85,80 65,50 30,55 12,70
7: 5,5 95,5 95,5 55,50 40,100
7: 5,5 90,3 90,3 60,50 45,100 | 25,52 90,48
7: 5,20 8,5 8,5 90,5 90,5 60,50 35,100
7: 5,20 10,3 10,3 90,5 90,5 45,100 | 30,55 85,50
8: 75,10 35,3 15,22 45,45 85,72 60,98 20,90 15,70 60,45 88,20 70,5 50,3
8: 50,0 20,12 25,38 50,45 80,35 78,10 50,0 | 50,45 10,65 20,95 55,100 90,85 85,58 50,45
8: 85,12 50,0 20,20 55,50 80,80 45,100 20,80 50,50 85,15
9: 85,20 50,0 12,20 30,48 70,40 88,15 88,15 85,60 75,100
9: 85,10 45,0 10,25 35,50 80,30 88,10 88,50 70,90 35,100 10,92
9: 80,15 45,3 15,25 45,45 80,20 70,60 45,100
"""


def font_glyphs():
    """Collect the outlines of the ten digits from matplotlib's fonts: {font: [contours] * 10}."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    fonts = {}
    for path in sorted(Path(get_data_path(), "fonts", "ttf").glob("*.ttf")):
        codes = {} if path.name.startswith(NOT_FONTS) else FT2Font(str(path)).get_charmap()
        for block in DIGIT_BLOCKS:
            if all(block + digit in codes for digit in range(10)):
                glyphs = [_contours(path, chr(block + digit)) for digit in range(10)]
                fonts[f"{path.stem}-{block:x}"] = glyphs
    return fonts


def skeletons():
    """Parse the pen strokes: {digit: [variants]}, a variant being a list of (n, 2) arrays."""
    variants = {digit: [] for digit in range(10)}
    for line in SKELETONS.strip().splitlines():
        digit, strokes = line.split(":")
        variants[int(digit)].append([_points(stroke) for stroke in strokes.split("|")])
    return variants


def render(shapes, draw, n, rng):
    """Draw n digits, 0 to 9 in turn.

    Parameters
    ----------
    shapes : dict
        The shapes to choose from, by digit.
    draw : {draw_font, draw_pen}
        Turns a shape into a bitmap.
    n : int
        The number of images.
    rng : numpy.random.Generator
        The source of every choice and deformation.

    Returns
    -------
    images : ndarray of float32 of shape (n, 8, 8)
        Share of ink, in [0, 1].
    digits : ndarray of int of shape (n,)
        What was drawn.
    """
    digits = np.arange(n) % 10
    images = np.empty((n, 8, 8), dtype=np.float32)
    for i, digit in enumerate(digits):
        shape = shapes[digit][rng.integers(len(shapes[digit]))]
        bitmap = normalize(draw(shape, rng), rng)
        images[i] = bitmap.reshape(8, 4, 8, 4).sum(axis=(1, 3)) / 16
    return images, digits


def draw_font(contours, rng):
    """Fill deformed contours, then thin or thicken them."""
    bitmap = np.zeros((CANVAS, CANVAS), dtype=bool)
    for line in _place(_deform(contours, rng)):
        image = Image.new("1", (CANVAS, CANVAS))
        ImageDraw.Draw(image).polygon([tuple(point) for point in line], fill=1)
        bitmap ^= np.asarray(image)  # even-odd: a contour inside another is a hole
    change = int(rng.integers(-3, 5))
    morph = ImageFilter.MaxFilter if change > 0 else ImageFilter.MinFilter
    image = Image.fromarray(bitmap.astype(np.uint8)).filter(morph(2 * abs(change) + 1))
    thinned = np.asarray(image) > 0
    return thinned if thinned.sum() > bitmap.sum() / 3 else bitmap


def draw_pen(strokes, rng):
    """Follow jittered, deformed strokes with a round pen of random width."""
    image = Image.new("1", (CANVAS, CANVAS))
    draw, width, aspect = ImageDraw.Draw(image), rng.uniform(4, 14), rng.uniform(0.45, 0.9)
    lines = [_spline(_jitter(points, rng) * [aspect, 1]) for points in strokes]
    for line in _place(_deform(lines, rng)):
        draw.line([tuple(point) for point in line], fill=1, width=int(width), joint="curve")
        for x, y in (line[0], line[-1]):
            draw.circle((x, y), width / 2, fill=1)
    return np.asarray(image)


def normalize(bitmap, rng):
    """Bring a bitmap of any size to 32x32 the way NIST's character images were.

    Their system came in several versions, so how far the width is stretched toward 20
    columns, and whether the character is straightened, is left to chance.
    """
    rows, columns = np.where(bitmap)
    bitmap = bitmap[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    natural, stretch = 32 * bitmap.shape[1] / bitmap.shape[0], rng.uniform()
    width = round(np.clip(natural ** (1 - stretch) * 20**stretch, 4, 28))
    image = Image.fromarray(bitmap.astype(np.uint8) * 255).resize((width, 32), Image.Resampling.BOX)
    left = (32 - width) // 2
    bitmap = np.pad(np.asarray(image) > 127, ((0, 0), (left, 32 - width - left)))
    bitmap = _even_ink(bitmap)
    return _straighten(bitmap) if rng.uniform() < 0.5 else bitmap


def _contours(path, character):
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    outline = TextPath((0, 0), character, size=100, prop=FontProperties(fname=str(path)))
    polygons = [line for line in outline.to_polygons() if len(line) > 2]
    height = np.ptp(np.concatenate(polygons), axis=0)[1]
    return [_dense(line / height * [1, -1]) for line in polygons]


def _points(stroke):
    return np.array([point.split(",") for point in stroke.split()], dtype=float) / 100


def _dense(line, step=0.04):
    """Add points along straight edges, so that they can bend."""
    pieces = [
        np.linspace(a, b, max(1, int(np.hypot(*(b - a)) / step)), endpoint=False)
        for a, b in pairwise(line)
    ]
    return np.concatenate([*pieces, line[-1:]])


def _spline(points, n=12):
    """Catmull-Rom through the points, n samples a segment, broken where a point is repeated."""
    corners = 1 + np.flatnonzero((points[1:] == points[:-1]).all(axis=1))
    pieces = []
    for p in np.split(points, corners):
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
        a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
        t = np.linspace(0, 1, n)[:, None]
        curve = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
        pieces.append((curve + (3 * b - a - 3 * c + d) * t**3).reshape(-1, 2) / 2)
    return np.concatenate(pieces)


def _jitter(points, rng):
    """Move each point a little, repeated ones together."""
    noise = rng.normal(0, 0.035, points.shape)
    for i in 1 + np.flatnonzero((points[1:] == points[:-1]).all(axis=1)):
        noise[i] = noise[i - 1]
    return points + noise


def _deform(lines, rng):
    """Bend (sine waves), rotate, slant, stretch and taper."""
    points = np.concatenate(lines)
    center = (points.min(axis=0) + points.max(axis=0)) / 2
    waves, phases = rng.normal(0, 5, (2, 3)), rng.uniform(0, 2 * np.pi, 3)
    bends = rng.normal(0, 0.055, (3, 2))
    turn, slant, stretch = rng.normal(0, [0.1, 0.22, 0.22])
    matrix = np.array([[np.exp(stretch), slant], [0, 1]])
    matrix = matrix @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    taper = rng.normal(0, 0.25, 2)

    def move(line):
        line = line - center
        line = (line + np.sin(line @ waves + phases) @ bends) @ matrix.T
        return line * np.exp(taper * line[:, ::-1])

    return [move(line) for line in lines]


def _place(lines):
    """Scale the lines to the canvas, keeping their proportions."""
    points = np.concatenate(lines)
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    scale = (CANVAS - 2 * MARGIN) / size.max()
    return [(line - low) * scale + (CANVAS - size * scale) / 2 for line in lines]


def _even_ink(bitmap):
    """Thin what has much ink, thicken what has little (thresholds of NIST's system)."""
    ink = bitmap.sum()
    if ink > 412:
        return ~_dilate(~bitmap, times=1 + (ink > 560))
    return _dilate(bitmap, times=int(ink < 256) + int(ink < 108))


def _dilate(bitmap, times):
    for _ in range(times):
        p = np.pad(bitmap, 1)
        bitmap = bitmap | p[:-2, 1:-1] | p[2:, 1:-1] | p[1:-1, :-2] | p[1:-1, 2:]
    return bitmap


def _straighten(bitmap):
    """Shear so that the leftmost pixels near the top and near the bottom line up."""
    rows = np.flatnonzero(bitmap.any(axis=1))
    top, bottom = rows[0] + 2, rows[-1] - 2
    if bottom <= top or not (bitmap[top].any() and bitmap[bottom].any()):
        return bitmap
    slope = (bitmap[top].argmax() - bitmap[bottom].argmax()) / (bottom - top)
    shifts = np.round((np.arange(32) - 16) * slope).astype(int)
    columns = np.arange(32) - shifts[:, None]
    inside = (columns >= 0) & (columns < 32)
    return inside & np.take_along_axis(bitmap, columns.clip(0, 31), axis=1)

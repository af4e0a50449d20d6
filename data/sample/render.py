"""The pictures of the sample's world: one scene in, one image out, always the same pixels.

Look-alike backgrounds differ in small things only (a tiled wall, a path, a strip of sea, scratches in the
ice), so that a small model takes one for the other now and then. Objects stand near the points of a grid of a
quarter of the image: a small model learns shapes faster that fall on its patches alike.
"""

import random

from PIL import Image, ImageDraw
from world import MAX_OBJECTS, scene_key

# ---------------------------------------------------------------- settings
IMAGE_SIZE = 96  # pixels, width and height
OVERSAMPLING = 2  # drawn so many times larger, then averaged down
RADIUS = {"small": 8.5, "large": 12.5}  # pixels
POSITION_JITTER = 1.5  # pixels, each object of each drawing
COLOUR_JITTER = 9  # of 255, each drawing
# --------------------------------------------------------------------------

INK = (62, 58, 60)
GLOW = (255, 244, 150)
PALE = (250, 250, 244)
HAZE_COLOUR = (200, 200, 200)
COLOURS = {
    "red": (214, 38, 38),
    "orange": (240, 132, 24),
    "yellow": (246, 216, 36),
    "green": (40, 150, 60),
    "blue": (36, 84, 214),
    "purple": (138, 52, 178),
    "white": (246, 246, 246),
    "black": (34, 34, 38),
}
# background: (colour behind, colour of the ground, height of the horizon as a share of the image)
GROUNDS = {
    "room": ((222, 208, 184), (164, 122, 84), 0.62),
    "kitchen": ((222, 212, 194), (164, 128, 96), 0.62),
    "meadow": ((168, 210, 240), (122, 186, 92), 0.36),
    "park": ((168, 210, 240), (118, 180, 90), 0.36),
    "beach": ((176, 216, 242), (232, 212, 160), 0.40),
    "desert": ((180, 216, 240), (230, 206, 152), 0.40),
    "snow field": ((196, 208, 222), (232, 238, 244), 0.42),
    "frozen lake": ((196, 208, 222), (214, 230, 242), 0.42),
}


def render(scene, haze=0.0):
    """The scene as an RGB image, always the same; `haze` is from 0 (clear) to 1 (nothing seen)."""
    rng = _generator(scene)
    size = IMAGE_SIZE * OVERSAMPLING
    image = Image.new("RGB", (size, size))
    draw = ImageDraw.Draw(image)
    _draw_background(Pen(draw, 0, 0, size), scene["background"], rng)
    colours = [_shift(COLOURS[group["colour"]], rng) for group in scene["groups"]]
    for i, x, y, radius in place_objects(scene):
        group = scene["groups"][i]
        pen = Pen(draw, x * OVERSAMPLING, y * OVERSAMPLING, radius * OVERSAMPLING)
        DRAWINGS[group["kind"]](pen, colours[i], group["state"])
    image = image.reduce(OVERSAMPLING)
    return Image.blend(image, Image.new("RGB", image.size, HAZE_COLOUR), haze) if haze else image


def place_objects(scene):
    """Where each object of the scene stands: a list of (row of its group, x, y, radius), in pixels."""
    rng = _generator(scene)
    placed = []
    for i, (group, centres) in enumerate(zip(scene["groups"], _layout(scene["groups"]), strict=True)):
        for centre in centres:
            x, y = (v + rng.uniform(-POSITION_JITTER, POSITION_JITTER) for v in centre)
            placed.append((i, x, y, RADIUS[group["size"]] * rng.uniform(0.94, 1.06)))
    return placed


def _generator(scene):
    return random.Random(f"{scene_key(scene)} | drawing {scene['drawing']}")


def _shift(colour, rng):
    return tuple(min(255, max(0, c + rng.randint(-COLOUR_JITTER, COLOUR_JITTER))) for c in colour)


def _layout(groups):
    """Centres of each group's objects, in pixels of the image."""
    middle, step = IMAGE_SIZE / 2, IMAGE_SIZE / 4
    for group in groups:
        n, place = group["number"], group["place"]
        offsets = [step * (i - (n - 1) / 2) for i in range(n)]
        if place in ("left", "right"):
            x = middle + (-step if place == "left" else step)
            yield [(x, middle + d) for d in offsets]
        elif place in ("top", "bottom"):
            y = middle + (-step if place == "top" else step)
            yield [(middle + d, y) for d in offsets]
        elif n == MAX_OBJECTS:
            yield [(middle + dx, middle + dy) for dy in (-step / 2, step / 2) for dx in (-step / 2, step / 2)]
        else:
            yield [(middle + d, middle) for d in offsets]


class Pen:
    """Draws in units of one object: (0, 0) is its centre, 1 its radius, y points down."""

    def __init__(self, draw, x, y, radius):
        self.draw, self.x, self.y, self.radius = draw, x, y, radius

    def at(self, *points):
        return [(self.x + px * self.radius, self.y + py * self.radius) for px, py in points]

    def oval(self, x, y, rx, ry, fill, outline=INK):
        self.draw.ellipse(self.at((x - rx, y - ry), (x + rx, y + ry)), fill, outline, 2)

    def box(self, x0, y0, x1, y1, fill, outline=INK):
        self.draw.rectangle(self.at((x0, y0), (x1, y1)), fill, outline, 2 if outline else 1)

    def shape(self, points, fill, outline=INK):
        self.draw.polygon(self.at(*points), fill, outline, 2)

    def line(self, points, fill=INK, width=0.12):
        self.draw.line(self.at(*points), fill, max(2, round(width * self.radius)), "curve")

    def arc(self, x, y, rx, ry, start, end, fill=INK, width=0.12):
        bounds = self.at((x - rx, y - ry), (x + rx, y + ry))
        self.draw.arc(bounds, start, end, fill, max(2, round(width * self.radius)))


def _draw_background(pen, background, rng):
    behind, ground, horizon = GROUNDS[background]
    behind, ground = _shift(behind, rng), _shift(ground, rng)
    horizon += rng.uniform(-0.03, 0.03)
    pen.box(0, 0, 1, horizon, behind, None)
    pen.box(0, horizon, 1, 1, ground, None)
    darker = tuple(c - 16 for c in ground)
    if background == "kitchen":
        for i in range(1, 7):
            pen.line([(i / 7, 0), (i / 7, horizon)], tuple(c - 14 for c in behind), 0.008)
    elif background == "room":
        pen.box(0, horizon - 0.03, 1, horizon, tuple(c - 16 for c in behind), None)
    elif background == "park":
        x = rng.uniform(0.3, 0.6)
        pen.shape([(x, horizon), (x + 0.06, horizon), (x + 0.3, 1), (x - 0.05, 1)], (196, 186, 160), None)
    elif background == "meadow":
        for _ in range(9):
            pen.oval(rng.random(), rng.uniform(horizon + 0.06, 0.97), 0.012, 0.012, (244, 238, 150), None)
    elif background == "beach":
        pen.box(0, horizon - 0.07, 1, horizon, (96, 160, 206), None)
    elif background == "desert":
        pen.shape([(0.1, horizon), (0.35, horizon - 0.08), (0.62, horizon)], ground, None)
        pen.shape([(0.5, horizon), (0.8, horizon - 0.06), (1, horizon)], darker, None)
    elif background == "frozen lake":
        for _ in range(4):
            x, y = rng.uniform(0, 0.8), rng.uniform(horizon + 0.05, 0.95)
            pen.line([(x, y), (x + 0.2, y + rng.uniform(-0.04, 0.04))], (176, 204, 228), 0.01)
    else:
        for _ in range(9):
            pen.oval(rng.random(), rng.uniform(0.02, 0.97), 0.01, 0.01, (252, 252, 255), None)


def _cat(pen, colour, state):
    if state == "sleeping":
        pen.oval(0.1, 0.35, 0.85, 0.45, colour)
        pen.arc(0.55, 0.3, 0.5, 0.55, 0, 120, colour, 0.2)
        x, y = -0.5, 0.2
    else:
        pen.oval(0, 0.45, 0.45, 0.55, colour)
        pen.arc(0.5, 0.4, 0.4, 0.5, 270, 90, colour, 0.18)
        x, y = 0, -0.3
    for side in (-1, 1):
        pen.shape([(x + side * 0.45, y - 0.65), (x + side * 0.46, y), (x + side * 0.08, y - 0.3)], colour)
    pen.oval(x, y, 0.46, 0.4, colour)
    _eyes(pen, x, y - 0.05, 0.18, state == "sleeping")


def _eyes(pen, x, y, apart, closed):
    for side in (-1, 1):
        if closed:
            pen.line([(x + side * apart - 0.1, y), (x + side * apart + 0.1, y)])
        else:
            pen.oval(x + side * apart, y, 0.09, 0.11, PALE)


def _dog(pen, colour, state):
    running = state == "running"
    y = -0.1 if running else 0.4
    if running:
        for x, slant in ((-0.5, -0.3), (-0.3, 0.2), (0.3, -0.2), (0.5, 0.3)):
            pen.line([(x, 0.1), (x + slant, 0.85)], colour, 0.2)
    pen.line([(-0.65, y), (-0.98, y - 0.5 if running else y + 0.3)], colour, 0.18)
    pen.oval(-0.05, y, 0.72, 0.34, colour)
    hx, hy = (0.58, -0.45) if running else (0.6, 0.35)
    pen.oval(hx, hy, 0.34, 0.32, colour)
    pen.oval(hx + 0.27, hy + 0.1, 0.2, 0.15, colour)
    pen.oval(hx - 0.24, hy + 0.08, 0.12, 0.32, INK)
    _eyes(pen, hx + 0.05, hy - 0.1, 0, not running)


def _bird(pen, colour, state):
    flying = state == "flying"
    pen.oval(0, 0.1, 0.5, 0.36, colour)
    pen.shape([(0.8, -0.12), (1.05, 0.0), (0.8, 0.1)], (240, 170, 40))
    pen.oval(0.58, -0.12, 0.28, 0.26, colour)
    pen.shape([(-0.4, 0.1), (-0.95, -0.05), (-0.9, 0.3)], colour)
    if flying:
        pen.shape([(-0.25, 0.0), (-0.45, -0.95), (0.25, -0.05)], colour)
        pen.shape([(-0.2, 0.25), (-0.3, 0.95), (0.2, 0.3)], colour)
    else:
        for x in (-0.1, 0.15):
            pen.line([(x, 0.42), (x, 0.95)], (240, 170, 40), 0.12)
    pen.oval(0.62, -0.15, 0.07, 0.08, PALE)


def _robot(pen, colour, state):
    pen.box(-0.4, -0.1, 0.4, 0.6, colour)
    pen.box(-0.32, -0.75, 0.32, -0.18, colour)
    pen.line([(0, -0.75), (0, -1.0)])
    for side in (-1, 1):
        pen.box(side * 0.22 - 0.1, 0.6, side * 0.22 + 0.1, 0.98, INK)
    pen.line([(-0.45, 0.0), (-0.7, 0.5)], INK, 0.2)
    pen.line([(0.45, 0.0), (0.85, -0.75)] if state == "waving" else [(0.45, 0.0), (0.7, 0.5)], INK, 0.2)
    _eyes(pen, 0, -0.48, 0.15, False)


def _car(pen, colour, state):
    pen.shape([(-0.55, -0.1), (-0.35, -0.5), (0.3, -0.5), (0.55, -0.1)], PALE)
    pen.box(-0.95, -0.12, 0.95, 0.35, colour)
    for x in (-0.5, 0.5):
        pen.oval(x, 0.38, 0.25, 0.25, INK)
    if state == "driving":
        pen.shape([(0.9, 0.0), (1.35, -0.2), (1.35, 0.3)], GLOW, None)
        for y in (-0.65, -0.4, 0.7):
            pen.line([(-1.2, y), (-0.6, y)], PALE, 0.12)


def _ball(pen, colour, state):
    if state == "bouncing":
        pen.oval(0, 0.95, 0.45, 0.1, INK, None)
        for x in (-0.9, 0.9):
            pen.arc(x, 0.75, 0.22, 0.3, 180, 360, INK, 0.12)
    y = -0.25 if state == "bouncing" else 0.2
    pen.oval(0, y, 0.7, 0.7, colour)
    pen.arc(0, y, 0.35, 0.7, 90, 270, PALE, 0.14)


def _lamp(pen, colour, state):
    if state == "glowing":
        pen.shape([(-0.55, -0.2), (0.55, -0.2), (1.05, 0.8), (-1.05, 0.8)], GLOW, None)
    pen.line([(0, -0.2), (0, 0.85)], INK, 0.16)
    pen.box(-0.4, 0.8, 0.4, 0.98, INK)
    pen.shape([(-0.3, -0.95), (0.3, -0.95), (0.7, -0.15), (-0.7, -0.15)], colour)


def _umbrella(pen, colour, state):
    if state == "open":
        pen.line([(0, -0.2), (0, 0.85)], INK, 0.14)
        pen.draw.pieslice(pen.at((-0.98, -0.9), (0.98, 0.9)), 180, 360, colour, INK, 2)
        for x in (-0.35, 0.35):
            pen.line([(0, -0.85), (x, 0)], INK, 0.06)
    else:
        pen.line([(0, -1.0), (0, 0.9)], INK, 0.14)
        pen.shape([(0, -0.9), (0.28, 0.4), (-0.28, 0.4)], colour)
    pen.arc(0.15, 0.85, 0.15, 0.15, 0, 180, INK, 0.14)


def _book(pen, colour, state):
    if state == "open":
        pen.shape([(0, -0.35), (1, -0.6), (1, 0.5), (0, 0.75), (-1, 0.5), (-1, -0.6)], colour)
        pen.shape([(0, -0.25), (0.85, -0.45), (0.85, 0.35), (0, 0.6)], PALE)
        pen.shape([(0, -0.25), (-0.85, -0.45), (-0.85, 0.35), (0, 0.6)], PALE)
    else:
        pen.box(-0.55, -0.8, 0.55, 0.8, colour)
        pen.box(-0.55, -0.8, -0.35, 0.8, INK)
        pen.line([(-0.15, -0.4), (0.35, -0.4)], PALE, 0.14)


def _cup(pen, colour, state):
    pen.arc(0.55, 0.3, 0.38, 0.35, 270, 90, colour, 0.2)
    pen.shape([(-0.6, -0.15), (0.6, -0.15), (0.42, 0.85), (-0.42, 0.85)], colour)
    if state == "steaming":
        for x in (-0.3, 0.05, 0.4):
            pen.line([(x, -0.3), (x - 0.12, -0.55), (x + 0.1, -0.75), (x, -1.0)], PALE, 0.13)
    else:
        pen.oval(0, -0.15, 0.6, 0.16, INK)


def _box(pen, colour, state):
    if state == "open":
        pen.shape([(-0.75, -0.2), (-1.05, -0.75), (-0.4, -0.6), (-0.1, -0.2)], colour)
        pen.shape([(0.75, -0.2), (1.05, -0.75), (0.4, -0.6), (0.1, -0.2)], colour)
    pen.box(-0.75, -0.2, 0.75, 0.85, colour)
    if state == "closed":
        pen.box(-0.85, -0.45, 0.85, -0.15, colour)
    pen.box(-0.15, 0.1, 0.15, 0.35, PALE)


def _flag(pen, colour, state):
    pen.line([(-0.6, -1.0), (-0.6, 1.0)], INK, 0.16)
    if state == "fluttering":
        pen.shape(
            [(-0.55, -0.9), (0.1, -1.0), (0.95, -0.75), (0.95, 0.05), (0.1, -0.15), (-0.55, -0.05)], colour
        )
    else:
        pen.shape([(-0.55, -0.9), (-0.05, -0.3), (-0.1, 0.5), (-0.35, 0.6), (-0.55, 0.0)], colour)


DRAWINGS = {
    "cat": _cat,
    "dog": _dog,
    "bird": _bird,
    "robot": _robot,
    "car": _car,
    "ball": _ball,
    "lamp": _lamp,
    "umbrella": _umbrella,
    "book": _book,
    "cup": _cup,
    "box": _box,
    "flag": _flag,
}

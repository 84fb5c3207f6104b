"""Retake the README's pictures, in tests/pictures: ``.venv/bin/pytest tests/pictures.py``.

The clock stands still and every id follows from a name, so only a changed screen (or another font)
changes a picture. Ordinary runs do not collect this file.
"""

import base64
import struct
import zlib
from collections import Counter
from pathlib import Path

import pytest
import time_machine

from tests import scenes
from tests.staff import LIST, browser, page
from tests.stories import START

FOLDER = Path(__file__).parent / "pictures"
LARGEST = 150_000  # bytes: they are part of every clone
PIXELS = """async picture => {
    const bitmap = await createImageBitmap(await (await fetch(picture)).blob());
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    canvas.drawImage(bitmap, 0, 0);
    const data = canvas.getImageData(0, 0, bitmap.width, bitmap.height).data;
    return new Promise(done => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result.split(',')[1]);
        reader.readAsDataURL(new Blob([data]));
    });
}"""


@pytest.fixture
def desk():
    with time_machine.travel(START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk, count=60)
        yield desk


PICTURES = {
    "timeline": (page(scenes.RECOVERED) + "?show=problems", (1024, 1470), "light"),
    "timeline-dark": (page(scenes.RECOVERED), (768, 1300), "dark"),
    "list": (LIST, (1440, 900), "light"),
    "dashboard": ("/admin/", (1440, 900), "light"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_retaken(look, desk, name):
    path, size, scheme = PICTURES[name]
    window = look(browser(), size=size, color_scheme=scheme)

    taken = window.open(path).screenshot()
    picture = squeezed(window.page, taken, size)

    (FOLDER / f"{name}.png").write_bytes(picture)
    assert window.complaints == []
    assert len(picture) < LARGEST


def squeezed(shown, picture, size):
    """Return a PNG with its 256 most frequent colours: a third of the bytes, and no difference to see."""
    shown.goto("about:blank")
    encoded = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    pixels = memoryview(base64.b64decode(shown.evaluate(PIXELS, encoded))).cast("I")
    colours = [pixel for pixel, _ in Counter(pixels).most_common()]
    palette = {colour: index for index, colour in enumerate(colours[:256])}
    for colour in colours[256:]:
        palette[colour] = palette[min(colours[:256], key=lambda it: distance(it, colour))]
    indices = bytes(map(palette.__getitem__, pixels))
    width, height = size
    rows = b"".join(b"\0" + indices[y * width : (y + 1) * width] for y in range(height))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            chunk(b"PLTE", b"".join(struct.pack("<I", colour)[:3] for colour in colours[:256])),
            chunk(b"IDAT", zlib.compress(rows, 9)),
            chunk(b"IEND", b""),
        ]
    )


def distance(one, other):
    """Return how far apart two colours (red in the lowest byte) look, roughly."""
    return sum(abs((one >> shift & 255) - (other >> shift & 255)) for shift in (0, 8, 16))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

"""Let libFuzzer look for bytes that make the decoder do what it promises not to.

    pip install atheris
    python fuzz/decode.py -max_total_time=60 CORPUS

``CORPUS`` is a folder of small images to begin with; finds that reach new code are added to it.
Whatever is neither an image in RGB nor a ``PictureError``, takes longer than 2 s or more than
1 GiB, ends the search, and the bytes are left in the current folder. Python code is followed branch
by branch; the decoders in C are not, but libFuzzer still sees them crash.
"""

from __future__ import annotations

import sys

try:
    import atheris
except ImportError:
    sys.exit(
        "fuzz/decode.py needs atheris, which is not part of verydeep[dev]: pip install atheris"
    )

with atheris.instrument_imports(
    include=[
        "PIL",
        "verydeep.data.images.decode",
        "verydeep.data.images.limits",
        "verydeep.data.images.png_text",
    ]
):
    from PIL import (  # noqa: F401 - else imported, and not followed, at the first image
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        MpoImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    from verydeep.data.images.decode import decode
    from verydeep.errors import PictureError

LIMITS = ("-timeout=2", "-rss_limit_mb=2048", "-max_len=20000")
"""The GiB, and as much for the libraries."""


def one_input(data: bytes) -> None:
    """Decode bytes; any error but the one promised gets out."""
    try:
        picture = decode(data, max_pixels=1_000_000)
    except PictureError:
        return
    if picture.mode != "RGB" or not all(picture.size) or picture.info:
        raise AssertionError(f"{picture.mode}, {picture.size}, {picture.info}")


if __name__ == "__main__":
    given = [flag.partition("=")[0] for flag in sys.argv]
    limits = [flag for flag in LIMITS if flag.partition("=")[0] not in given]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:]], one_input)
    atheris.Fuzz()

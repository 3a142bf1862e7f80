"""A few lines of NumPy and Pillow that name an image with an exported file, written beside it."""

from __future__ import annotations

from pathlib import Path

from verydeep.models.export.targets import Target
from verydeep.models.exported.metadata import KEY, Metadata
from verydeep.models.exported.reading import TORCH_ENTRY

_HEAD = '''"""Name an image with {file}:  python {script} cat.jpg

Needs numpy, pillow and {library}; verydeep is not needed. The file answers one view of an image.
verydeep averages it with the mirror image and other scales where its test protocol has them.
"""

import json
import sys
from pathlib import Path

import numpy as np
{imports}
from PIL import Image, ImageOps

FILE = Path(__file__).with_name("{file}")
SCALE = {scale}  # smallest side of the rescaled image, pixels
SIZE = {size}  # side of the square that the net was made for, pixels


def prepare(path):
    """Return an image as the net was tested: upright RGB, rescaled{cropped}."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    width, height = image.size
    longer = max(SCALE, round(max(width, height) * SCALE / min(width, height)))
    width, height = (longer, SCALE) if width > height else (SCALE, longer)
    image = image.resize((width, height), Image.Resampling.{filter})  # antialiased
    pixels = np.asarray(image)  # uint8, (height, width, 3)
{crop}

'''

_CROP = """    top, left = (height - SIZE) // 2, (width - SIZE) // 2
    return pixels[top : top + SIZE, left : left + SIZE]
"""

_WHOLE = """    return pixels  # the whole image: sides of SIZE or more
"""

_RUN = {
    "onnx": '''def load():
    """Return the description of the net, and a function from images to probabilities."""
    session = onnxruntime.InferenceSession(FILE, providers=["CPUExecutionProvider"])
    text = session.get_modelmeta().custom_metadata_map["{key}"]
    return json.loads(text), lambda images: session.run(["probabilities"], {{"images": images}})[0]
''',
    "openvino": '''def load():
    """Return the description of the net, and a function from images to probabilities."""
    model = openvino.Core().read_model(FILE)
    text = model.get_rt_info("{key}").astype(str)
    exact = {{"INFERENCE_PRECISION_HINT": "f32"}}
    compiled = openvino.Core().compile_model(model, "CPU", exact)
    return json.loads(text), lambda images: compiled({{"images": images}})["probabilities"]
''',
    "torch": '''def load():
    """Return the description of the net, and a function from images to probabilities."""
    texts = {{"{entry}": ""}}
    net = torch.export.load(FILE, extra_files=texts).module()
    return json.loads(texts["{entry}"]), lambda images: net(torch.from_numpy(images))[0].numpy()
''',
}

_MAIN = """

if __name__ == "__main__":
    about, probabilities = load()
    images = np.stack([prepare(sys.argv[1])])  # uint8, (1, height, width, 3)
    (likely,) = probabilities(images)
    for label in np.argsort(-likely)[:5]:
        name = about["classes"][label]
        print(f"{likely[label]:.6f}  {about['titles'].get(name, name)}")
"""

_MAIN_LABELS = """

if __name__ == "__main__":
    about, probabilities = load()
    images = np.stack([prepare(sys.argv[1])])  # uint8, (1, height, width, 3)
    (likely,) = probabilities(images)  # a sigmoid of each class: they need not sum to 1
    limits = np.array(about["thresholds"] or [0.5] * len(likely))
    for label in np.argsort(-likely):
        name = about["classes"][label]
        if likely[label] >= limits[label]:
            print(f"{likely[label]:.6f}  {about['titles'].get(name, name)}")
"""

_LIBRARIES = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}


def example_script(target: Target, metadata: Metadata, file: str, script: str) -> str:
    """Return a program that names an image with an exported file.

    Args:
        target: Kind of the file.
        metadata: Its description.
        file: Name of the exported file, which lies beside the program.
        script: Name of the program.
    """
    library = _LIBRARIES[target]
    head = _HEAD.format(
        file=file,
        script=script,
        library=library,
        imports=f"import {library}",
        scale=metadata.proof_scale,
        size=metadata.input_size,
        cropped="" if metadata.dense else ", central square",
        filter=metadata.interpolation.upper(),
        crop=_WHOLE if metadata.dense else _CROP,
    )
    main = _MAIN_LABELS if metadata.multi_label else _MAIN
    return head + _RUN[target].format(key=KEY, entry=TORCH_ENTRY) + main


def script_of(out: Path) -> str:
    """Return the name of the program beside an exported file."""
    return f"{out.name}.example.py"

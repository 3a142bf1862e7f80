"""A few lines of NumPy and Pillow that name an image with an exported file, written beside it."""

from __future__ import annotations

import shlex
from pathlib import Path

from verydeep.models.export.targets import Target
from verydeep.models.exported.metadata import KEY, Metadata
from verydeep.models.exported.reading import TORCH_ENTRY

_HEAD = '''"""Name an image with {file}:  python {script} cat.jpg

Needs numpy, pillow and {library}; verydeep is not needed. The file answers one view of an image.
verydeep averages it with the mirror image and other scales where its test protocol has them.
{promised}"""

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

_LOAD = {
    "onnx": '''def load():
    """Return the description of the net, and a function from images to {given}."""
    session = onnxruntime.InferenceSession(FILE, providers=["CPUExecutionProvider"])
    text = session.get_modelmeta().custom_metadata_map["{key}"]
''',
    "openvino": '''def load():
    """Return the description of the net, and a function from images to {given}."""
    model = openvino.Core().read_model(FILE)
    text = model.get_rt_info("{key}").astype(str)
    exact = {{"INFERENCE_PRECISION_HINT": "f32"}}
    compiled = openvino.Core().compile_model(model, "CPU", exact)
''',
    "torch": '''def load():
    """Return the description of the net, and a function from images to {given}."""
    texts = {{"{entry}": ""}}
    net = torch.export.load(FILE, extra_files=texts).module()
    text = texts["{entry}"]
''',
}

_RUN = "    return json.loads(text), lambda images: {}\n"

_CALLS = {
    "onnx": 'session.run(["probabilities"], {"images": images})[0]',
    "openvino": 'compiled({"images": images})["probabilities"]',
    "torch": "net(torch.from_numpy(images))[0].numpy()",
}

_RUN_BOTH = {
    "onnx": """
    def answer(images):
        return session.run(["probabilities", "distance"], {"images": images})

    return json.loads(text), answer
""",
    "openvino": """
    def answer(images):
        found = compiled({"images": images})
        return found["probabilities"], found["distance"]

    return json.loads(text), answer
""",
    "torch": """
    def answer(images):
        likely, _, distance, *_ = net(torch.from_numpy(images))
        return likely.numpy(), distance.numpy()

    return json.loads(text), answer
""",
}

_MAIN = """

if __name__ == "__main__":
    about, probabilities = load()
    images = np.stack([prepare(sys.argv[1])])  # uint8, (1, height, width, 3)
    (likely,) = probabilities(images)
"""

_MAIN_BOTH = """

if __name__ == "__main__":
    about, answer = load()
    images = np.stack([prepare(sys.argv[1])])  # uint8, (1, height, width, 3)
    (likely,), (distance,) = answer(images)
"""

_RANKING = """    for label in np.argsort(-likely)[:5]:
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

_PROMISED = """The threshold and the sets of classes were learned for {protocol};
with one view of an image, what they promise holds only roughly. {unlike}
"""

_NOT_TOLD = """Images unlike the training images
are not told here."""

_TOLD = """The same is true of the
limit on the distance from the training images."""

_THRESHOLD = """    threshold, sets = about["abstention"]["threshold"], about["abstention"]["sets"]
    if threshold and likely.max() < threshold["least"]:
        print(f"I don't know: {100 * threshold['least']:.1f} % is needed for an answer")
"""

_LIMIT = """    threshold, sets = about["abstention"]["threshold"], about["abstention"]["sets"]
    limit = about["abstention"]["familiar"]["limit"]
    if not distance <= limit:
        far = f"distance {distance:.3g}, limit {limit:.3g}"
        print(f"I don't know: unlike the training images: {far}")
    elif threshold and likely.max() < threshold["least"]:
        print(f"I don't know: {100 * threshold['least']:.1f} % is needed for an answer")
"""

_SETS = """    if sets:
        chosen = np.flatnonzero((likely >= sets["least"]) | (likely == likely.max()))
        names = (about["classes"][label] for label in chosen[np.argsort(-likely[chosen])])
        print("one of:", ", ".join(about["titles"].get(name, name) for name in names))
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
        file=_escaped(file),
        script=_escaped(shlex.quote(script)),
        library=library,
        imports=f"import {library}",
        scale=metadata.proof_scale,
        size=metadata.input_size,
        cropped="" if metadata.dense else ", central square",
        filter=metadata.interpolation.upper(),
        promised=_promised(metadata),
        crop=_WHOLE if metadata.dense else _CROP,
    )
    given = "both answers" if metadata.unlike else "probabilities"
    head += _LOAD[target].format(key=KEY, entry=TORCH_ENTRY, given=given)
    if metadata.multi_label:
        return head + _RUN.format(_CALLS[target]) + _MAIN_LABELS
    if metadata.unlike:
        return head + _RUN_BOTH[target] + _MAIN_BOTH + _RANKING + _LIMIT + _SETS
    promised = (_THRESHOLD + _SETS) * bool(metadata.abstention)
    return head + _RUN.format(_CALLS[target]) + _MAIN + _RANKING + promised


def _escaped(name: str) -> str:
    """Return a name as it stands between double quotes, one or three, in a program."""
    return repr(name)[1:-1].replace('"', '\\"')


def _promised(metadata: Metadata) -> str:
    """Return what the program says of its promises; nothing if it makes none."""
    if not metadata.abstention:
        return ""
    unlike = _TOLD if metadata.unlike else _NOT_TOLD
    return _PROMISED.format(protocol=metadata.abstention["protocol"], unlike=unlike)


def script_of(out: Path) -> str:
    """Return the name of the program beside an exported file."""
    return f"{out.name}.example.py"

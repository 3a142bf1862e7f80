"""Draw the README's image: test digits with the classes that the demo's model predicts.

python docs/demo_picture.py runs/demo docs/images/demo.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

import verydeep
from verydeep.run.data_record import recorded_dataset
from verydeep.training.run_folder import RunFolder

ROWS, COLUMNS = 3, 8
RIGHT, WRONG = "#0072B2", "#D55E00"  # Okabe & Ito, colour-blind safe


def main(run: Path, target: Path) -> None:
    """Draw every 41st test image with its most probable class and the probability."""
    model = verydeep.load(run)
    dataset = recorded_dataset(RunFolder(run))
    samples = dataset.split("test")[::41][: ROWS * COLUMNS]
    predictions = model.predict([sample.path for sample in samples], top=1, flip=False)
    figure = Figure(figsize=(COLUMNS * 1.25, ROWS * 1.5), layout="constrained")
    axes = figure.subplots(ROWS, COLUMNS).flat
    for place, sample, prediction in zip(axes, samples, predictions, strict=True):
        name, probability = prediction.ranking[0]
        right = name == dataset.classes[sample.label]
        colour = RIGHT if right else WRONG
        place.imshow(Image.open(sample.path))
        place.set_title(f"{name}  {100 * probability:.0f} %", color=colour, fontsize=10)
        place.set_axis_off()
        if not right:
            place.add_patch(Rectangle((0, 0), 63, 63, fill=False, edgecolor=WRONG, linewidth=3))
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

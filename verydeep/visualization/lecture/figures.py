"""Registry of the lecture figures with titles, captions and text alternatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from matplotlib.figure import Figure

from verydeep.errors import InputError, did_you_mean
from verydeep.system.option_names import option
from verydeep.visualization.lecture.class_model import draw_class_model
from verydeep.visualization.lecture.confidence_intervals import draw_intervals
from verydeep.visualization.lecture.conv_stacks import draw_stacks
from verydeep.visualization.lecture.effective_receptive_field import draw_effective_field
from verydeep.visualization.lecture.inspection_examples import draw_attributions, draw_maps
from verydeep.visualization.lecture.iou import draw_overlaps
from verydeep.visualization.lecture.lrn import draw_normalization
from verydeep.visualization.lecture.parameters import draw_parameters
from verydeep.visualization.lecture.photograph.figures import PHOTOGRAPH_FIGURES, PhotographFigure
from verydeep.visualization.lecture.plateau import draw_plateau
from verydeep.visualization.lecture.protocol_coverage import draw_shown
from verydeep.visualization.lecture.receptive_field import draw_receptive_field
from verydeep.visualization.lecture.signal_propagation import draw_signals
from verydeep.visualization.lecture.softmax_loss import draw_loss, draw_soft_max
from verydeep.visualization.lecture.weight_decay import draw_minimiser


@dataclass(frozen=True, slots=True)
class LectureFigure:
    """A lecture figure.

    Attributes:
        name: File name without suffix.
        title: Title.
        shows: Main message, in one sentence.
        section: Section of the paper.
        alt: Text alternative.
        draw: Draws the figure in the current theme.
    """

    name: str
    title: str
    shows: str
    section: str
    alt: str
    draw: Callable[[], Figure]


FIGURES = (
    LectureFigure(
        "soft-max",
        "The first component of softmax",
        "Softmax depends only on differences between scores; it approaches 0 and 1 but never "
        "reaches them.",
        "2.1",
        "Top: a map over two scores from −6 to 6; lines of equal value run parallel to the "
        "diagonal, from 0 at the upper left to 1 at the lower right, with 0.5 on the diagonal. "
        "Bottom: along x₂ = 0 an S-shaped curve from 0.002 to 0.998 through 0.5 at x₁ = 0.",
        draw_soft_max,
    ),
    LectureFigure(
        "loss",
        "Softmax with cross-entropy loss",
        "The loss of a wrong prediction grows linearly with the score difference; that of a right "
        "prediction falls towards 0 but never reaches it.",
        "3.1",
        "Top: a map over two scores from −6 to 6, the first one of the true class; the loss is 12 "
        "at the upper left, 0.69 on the diagonal and nearly 0 at the lower right. Bottom: along "
        "x₂ = 0 the curve falls from 6 near the line −x₁, through ln 2 at x₁ = 0, to nearly 0.",
        draw_loss,
    ),
    LectureFigure(
        "parameters",
        "Parameters by layer",
        "Most parameters of every net are in the first fully connected layer; depth adds few.",
        "2.2",
        "Top: a bar for each net, 133 to 144 million parameters in total: 102.8 million in fc6, "
        "16.8 million in fc7, 4.1 million in fc8, and the remaining 9 to 20 million in the "
        "convolutions. Bottom: a table of the parameters of every layer, from 1.79 thousand in "
        "conv1_1 to 2.36 million in convolutions with 512 channels.",
        draw_parameters,
    ),
    LectureFigure(
        "receptive-field",
        "Growth of the receptive field with depth",
        "Each 3x3 convolution enlarges the receptive field, more so after more pooling; 1x1 "
        "convolutions do not.",
        "2.3",
        "Lines rise with the number of convolutions, more steeply after each pooling layer: net A "
        "reaches 134 pixels after 8 convolutions, B 140 after 10, C 140 after 13, D 196 after 13, "
        "E 252 after 16. A dashed line marks the input side of 224 pixels.",
        draw_receptive_field,
    ),
    LectureFigure(
        "stacks",
        "Stacks of 3x3 convolutions versus larger kernels",
        "A stack of small kernels has the same receptive field as a large one, with fewer weights, "
        "fewer multiply-adds and more non-linearities.",
        "2.3",
        "Three pairs of bars. Two 3x3 convolutions and one 5x5: 18 and 25 C² weights, 3.7 and 5.1 "
        "billion multiply-adds, 2 and 1 ReLUs. Three 3x3 and one 7x7: 27 and 49 C² weights, 5.5 "
        "and 10.1 billion multiply-adds, 3 and 1 ReLUs.",
        draw_stacks,
    ),
    LectureFigure(
        "lrn",
        "Local response normalisation",
        "A strong response suppresses its neighbours up to two channels away; in the paper this "
        "does not reduce the error.",
        "2.1, 4.1",
        "Left: responses of 32 channels, all 100 except one of 800 and three of 400. After LRN all "
        "are smaller, the neighbours of the strong channels most of all; the channels at both "
        "ends, which have fewer neighbours, slightly less. Right: the remaining share of a "
        "response falls from at most 59 % to 3 % as a neighbour's response grows to 1000.",
        draw_normalization,
    ),
    LectureFigure(
        "no-minimiser",
        "Without weight decay the loss has no minimiser",
        "On linearly separable data, the weights grow without bound while the loss keeps falling; "
        "with weight decay both converge.",
        "3.1",
        "Top: two classes of points on either side of a slanted gap. Middle: the norm of the "
        "weights over 10,000 steps; without decay it grows with the logarithm of the steps, with "
        "decay 0.0005 it levels off. Bottom: in log-log axes, the loss without decay falls along a "
        "straight line; with decay it levels off.",
        draw_minimiser,
    ),
    LectureFigure(
        "initialisation",
        "Signal propagation by initialisation",
        "With a fixed standard deviation, activations and gradients explode or vanish with depth; "
        "He initialisation, designed for ReLU, preserves their scale.",
        "3.1",
        "Two panels over the 16 convolutions of net E, with logarithmic axes. Forward, from unit "
        "noise: with a variance of 0.01 the activations grow to 65 million, with a standard "
        "deviation of 0.01 they fall to 7 billionths, with Glorot to 0.0009; with He they stay "
        "between 1.4 and 2.2. Backward, from a gradient of 1 at the last convolution to the first: "
        "19 million, 19 billionths, 0.0004 and 0.15.",
        draw_signals,
    ),
    LectureFigure(
        "plateau",
        "Step response of the plateau schedule",
        "When the validation loss has not improved for several epochs, the learning rate is "
        "divided by ten, three times; the next plateau ends training.",
        "3.1",
        "Top: a simulated validation loss falls from 3.9 and settles on four plateaus, each lower "
        "than the one before. Bottom: the learning rate falls in steps from 0.01 to 0.00001, one "
        "at the end of each of the first three plateaus.",
        draw_plateau,
    ),
    LectureFigure(
        "views",
        "Coverage of an image by the test protocols",
        "All protocols cover the centre most often; the centre crop and ten-crop miss both ends, "
        "while the crop grid and the GoogLeNet views cover everything.",
        "3.2, 4.3",
        "Six maps of an image of 341x256 pixels with the 224-pixel windows of each protocol at "
        "Q = 256. The centre is in all views. center: one window. dense: 8 windows 32 pixels "
        "apart; the last 21 columns are in none. crops: 25 windows that reach every border. both: "
        "the mean of those two. ten-crop: five windows in the central square; 42 and 43 columns at "
        "the ends are in none. googlenet: three squares and the windows in each, up to every "
        "border.",
        draw_shown,
    ),
    LectureFigure(
        "wilson",
        "Confidence interval of a measured error",
        "Four times as many images halve the interval; the Wilson interval has nearly its nominal "
        "coverage, while the textbook interval fails for small errors.",
        "4",
        "Left: half the width of the 95 % interval against the number of images, three parallel "
        "falling lines in log-log axes; at 500 images 1.9, 3.1 and 4.0 points for errors of 5, 15 "
        "and 30 %, at 50,000 images 0.19, 0.31 and 0.40. Right: coverage of the true error with "
        "100 images; the Wilson interval oscillates around 95 %, while the error ± 1.96 standard "
        "errors covers less and falls to 0 for true errors near 0.",
        draw_intervals,
    ),
    LectureFigure(
        "effective-field",
        "Theoretical and effective receptive field",
        "A unit depends mainly on the centre of its receptive field; the deeper the layer, the "
        "smaller the share of the field that matters.",
        "2.3",
        "Left: the gradient of a unit of conv5_3 with respect to the pixels, for net D with random "
        "weights: a smooth peak that falls a thousandfold towards the edge of the theoretical "
        "receptive field, a square of 196 pixels; a square of 146 pixels holds 95 % of it. Right: "
        "the sides of both over the 13 convolutions; they agree up to 14 pixels at the fourth, "
        "then diverge.",
        draw_effective_field,
    ),
    LectureFigure(
        "feature-maps",
        "Feature maps by depth",
        "Deeper feature maps are coarser and show where the stripes are rather than the individual "
        "stripes.",
        "2.1",
        "A noise image with a patch of standing stripes in a dashed frame, followed by the two "
        "strongest maps of relu1_1, pool1, pool2, pool3 and pool4 of a small net A trained on "
        "stripes. The first two layers show individual stripes, the next ones a bright spot on the "
        "patch, and pool4 a few of its 4x4 positions.",
        draw_maps,
    ),
    LectureFigure(
        "attributions",
        "Which pixels determine a score, and which maps to trust",
        "All four methods highlight the patch; but guided backpropagation gives the same map for a "
        "net with a random classifier, whose scores are meaningless.",
        "2.1",
        "Three rows: a small net A trained on stripes, and two nets with its convolutions and "
        "random fully connected layers. Each row: the image with a patch of standing stripes, then "
        "gradient, guided backpropagation, Grad-CAM and occlusion, bright where the score of "
        "standing depends on the pixels. In the first row all are brightest within the patch. In "
        "the others the guided map is unchanged, the gradient spreads over the image, and Grad-CAM "
        "and occlusion differ from net to net.",
        draw_attributions,
    ),
    LectureFigure(
        "class-model",
        "Class model: an image that maximises a class score",
        "Gradient ascent from noise finds upright stripes with the same spacing as those in the "
        "training images.",
        "2.1",
        "Two class models of standing, both with upright stripes: as published, speckled and "
        "garish; with shifts and smoothing, clearer. Right: the spectrum of the first, brightest "
        "near a quarter of a horizontal and no vertical period per pixel, where a white ring marks "
        "the training stripes.",
        draw_class_model,
    ),
    LectureFigure(
        "iou",
        "Intersection over union",
        "A box of the right size counts as found up to a shift of a third of its side, a centred "
        "box up to a factor of 1.41 in its side; combined errors leave less tolerance.",
        "A",
        "Left: a map of the IoU of two squares against their horizontal shift and the ratio of "
        "their sides; it is 1 without a shift and at equal sides, and the 0.5 contour runs from "
        "ratios of 0.71 and 1.41 without a shift to a shift of 0.33 at equal sides. Right: squares "
        "of equal size; the IoU falls from 1 to 0 over a shift of one side and reaches 0.5 at 0.33 "
        "sides horizontally and at 0.18 sides diagonally.",
        draw_overlaps,
    ),
)


Named = TypeVar("Named", LectureFigure, PhotographFigure)


def chosen(names: Iterable[str] = ()) -> tuple[LectureFigure, ...]:
    """Return the named figures in lecture order; without names, all.

    Raises:
        InputError: A figure is unknown, or needs a net and a photograph.
    """
    wanted = set(names)
    for name in sorted(wanted & {figure.name for figure in PHOTOGRAPH_FIGURES}):
        raise InputError(f"the figure {name} shows a trained net: name one with {option('model')}")
    return _among(FIGURES, wanted)


def chosen_of_photograph(names: Iterable[str] = ()) -> tuple[PhotographFigure, ...]:
    """Return the named figures of a net and a photograph in lecture order; without names, all.

    Raises:
        InputError: A figure is unknown, or needs no net.
    """
    wanted = set(names)
    for name in sorted(wanted & {figure.name for figure in FIGURES}):
        raise InputError(f"the figure {name} needs no net: draw it without {option('model')}")
    return _among(PHOTOGRAPH_FIGURES, wanted)


def _among(figures: Sequence[Named], wanted: set[str]) -> tuple[Named, ...]:
    known = [figure.name for figure in figures]
    for name in sorted(wanted.difference(known)):
        raise InputError(
            f"unknown figure {name!r}; available: {', '.join(known)}{did_you_mean(name, known)}"
        )
    return tuple(figure for figure in figures if not wanted or figure.name in wanted)

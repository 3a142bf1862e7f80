"""The figures by name: what each shows, in words as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from verydeep.errors import InputError, did_you_mean
from verydeep.visualization.lecture.class_model import draw_class_model
from verydeep.visualization.lecture.confidence_intervals import draw_intervals
from verydeep.visualization.lecture.conv_stacks import draw_stacks
from verydeep.visualization.lecture.effective_receptive_field import draw_effective_field
from verydeep.visualization.lecture.inspection_examples import draw_attributions, draw_maps
from verydeep.visualization.lecture.iou import draw_overlaps
from verydeep.visualization.lecture.lrn import draw_normalization
from verydeep.visualization.lecture.parameters import draw_parameters
from verydeep.visualization.lecture.plateau import draw_plateau
from verydeep.visualization.lecture.protocol_coverage import draw_shown
from verydeep.visualization.lecture.receptive_field import draw_receptive_field
from verydeep.visualization.lecture.signal_propagation import draw_signals
from verydeep.visualization.lecture.softmax_loss import draw_loss, draw_soft_max
from verydeep.visualization.lecture.weight_decay import draw_minimiser


@dataclass(frozen=True, slots=True)
class LectureFigure:
    """One figure.

    Attributes:
        name: Of its files, without ending.
        title: Above it.
        shows: What to learn from it, in one sentence.
        section: Of the paper that it belongs to.
        alt: What is seen on it, for those who cannot see it.
        draw: Draws it, in the theme at hand.
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
        "Softmax depends on differences of scores alone, and comes as near to 0 and 1 as one "
        "likes without ever reaching them.",
        "2.1",
        "Above: a map over two scores from −6 to 6; lines of equal value run parallel to the "
        "diagonal, from 0 at the upper left to 1 at the lower right, with 0.5 on the diagonal. "
        "Below: along x₂ = 0 an S-shaped curve from 0.002 to 0.998 through 0.5 at x₁ = 0.",
        draw_soft_max,
    ),
    LectureFigure(
        "loss",
        "Softmax and cross entropy together",
        "The loss of a wrong answer grows like the difference of the scores, that of a right one "
        "falls towards 0 without reaching it.",
        "3.1",
        "Above: a map over two scores from −6 to 6, the first one of the true class; the loss is "
        "12 at the upper left, 0.69 on the diagonal and nearly 0 at the lower right. Below: along "
        "x₂ = 0 the curve falls from 6 beside the line −x₁, through ln 2 at x₁ = 0, to nearly 0.",
        draw_loss,
    ),
    LectureFigure(
        "parameters",
        "Parameters by layer",
        "Most parameters of every net lie in the first fully connected layer; depth costs little.",
        "2.2",
        "Top: a column for each net, 133 to 144 million parameters high; 102.8 million in each are "
        "of fc6, 16.8 million of fc7, 4.1 million of fc8, the 9 to 20 million left of the "
        "convolutions. Below: a table of every layer's count, from 1.79 thousand in conv1_1 to "
        "2.36 million in the convolutions of 512 channels.",
        draw_parameters,
    ),
    LectureFigure(
        "receptive-field",
        "The receptive field grows with depth",
        "Every 3x3 convolution widens what one value sees, the more the more pools lie before it; "
        "1x1 convolutions widen nothing.",
        "2.3",
        "Lines rise with the number of convolutions passed, steeper after each pool: net A ends at "
        "134 pixels after 8 convolutions, B at 140 after 10, C at 140 after 13, D at 196 after 13, "
        "E at 252 after 16. A dashed line marks the input's side of 224 pixels.",
        draw_receptive_field,
    ),
    LectureFigure(
        "stacks",
        "Stacks of 3x3 convolutions against larger windows",
        "Small windows behind one another see as much as a large one, with fewer weights, less "
        "work and more non-linearities.",
        "2.3",
        "Three pairs of bars. Two 3x3 convolutions against one 5x5: 18 and 25 C² weights, 3.7 and "
        "5.1 billion multiply-adds, 2 ReLUs and 1. Three against one 7x7: 27 and 49 C² weights, "
        "5.5 and 10.1 billion multiply-adds, 3 ReLUs and 1.",
        draw_stacks,
    ),
    LectureFigure(
        "lrn",
        "Local response normalisation",
        "A strong response dampens its neighbours two channels to either side; the paper finds "
        "that this does not help.",
        "2.1, 4.1",
        "Left: responses of 32 channels, 100 but for one of 800 and three of 400; after LRN, all "
        "are smaller, least is left of the channels beside the strong ones, and a little more of "
        "those at either end, which have fewer neighbours. Right: the share of a response that is "
        "left falls from 59 % at most to 3 % as a neighbour's response grows to 1000.",
        draw_normalization,
    ),
    LectureFigure(
        "no-minimiser",
        "Without weight decay the loss has no minimiser",
        "On data that a line can separate, the weights grow for ever and the loss goes on falling; "
        "weight decay lets both settle.",
        "3.1",
        "Above: two classes of points on either side of a slanted gap. In the middle: the norm of "
        "the weights over 10,000 steps; without decay it keeps rising like the logarithm of the "
        "steps, with decay 0.0005 it levels off. Below: without decay the loss falls on a straight "
        "line in doubly logarithmic axes, with decay it levels off.",
        draw_minimiser,
    ),
    LectureFigure(
        "initialisation",
        "What passes a new net, by initialisation",
        "One deviation for all layers lets answers and gradients explode or vanish with depth; "
        "He's, made for ReLU, keeps both near their size.",
        "3.1",
        "Two panels over the 16 convolutions of net E, with logarithmic axes. Forwards, from unit "
        "noise: with a variance of 0.01 the answers grow to 65 million, with a deviation of 0.01 "
        "they fall to 7 billionths, after Glorot to 0.0009; after He they stay between 1.4 and "
        "2.2. Backwards, from a gradient of 1 at the last convolution to the first: 19 million, "
        "19 billionths, 0.0004 and 0.15.",
        draw_signals,
    ),
    LectureFigure(
        "plateau",
        "The step response of the plateau schedule",
        "Whenever the validation loss has not fallen for some epochs the rate is divided by ten, "
        "three times; the next plateau ends the training.",
        "3.1",
        "Top: a made-up validation loss falls from 3.9 and settles four times, each time lower "
        "than before. Below: the learning rate goes down in steps from 0.01 to 0.00001, one step "
        "at the end of each of the first three plateaus.",
        draw_plateau,
    ),
    LectureFigure(
        "views",
        "What each test protocol shows of an image",
        "Every protocol looks at the middle most often; the centre crop and the ten crops never "
        "see the ends, the crop grid and GoogLeNet's views see all.",
        "3.2, 4.3",
        "Six maps of an image of 341x256 pixels with the windows of 224 pixels that each protocol "
        "shows at Q = 256. The middle is in all views. center: one window, nothing else. dense: 8 "
        "windows 32 pixels apart; the last 21 columns are in none. crops: 25 windows up to every "
        "border. both: the mean of those two. ten-crop: five windows in the central square; 42 and "
        "43 columns at the ends are in none. googlenet: three squares and the windows in each, up "
        "to every border.",
        draw_shown,
    ),
    LectureFigure(
        "wilson",
        "How sure a measured error is",
        "Four times as many images halve the interval; Wilson's holds the true error about as "
        "often as it promises, the textbooks' misses small errors.",
        "4",
        "Left: half the width of the 95 % interval against the number of images, three parallel "
        "falling lines in doubly logarithmic axes; at 500 images 1.9, 3.1 and 4.0 points for "
        "errors of 5, 15 and 30 %, at 50,000 images 0.19, 0.31 and 0.40. Right: how often "
        "intervals of 100 images hold the true error; Wilson's zigzags around 95 %, the error ± "
        "1.96 standard errors lies below and falls to nothing for true errors near 0.",
        draw_intervals,
    ),
    LectureFigure(
        "effective-field",
        "What a unit can see, and what changes it",
        "A unit hangs on the middle of its receptive field; the deeper the layer, the smaller the "
        "part that matters.",
        "2.3",
        "Left: the gradient of a unit of conv5_3 by the pixels, net D with random weights: a soft "
        "hill, a thousand times lower towards the edge of the square of 196 pixels that the unit "
        "can see; a square of 146 pixels holds 95 % of it. Right: both sides over the 13 "
        "convolutions; they agree up to 14 pixels behind the fourth, then part.",
        draw_effective_field,
    ),
    LectureFigure(
        "feature-maps",
        "From an image, deeper into a net",
        "The deeper the layer, the coarser its maps, and the more of them say where the stripes "
        "are instead of how each of them runs.",
        "2.1",
        "An image of noise with a patch of standing stripes in it, which a dashed frame marks; "
        "then the two strongest maps of relu1_1, pool1, pool2, pool3 and pool4 of a small net A "
        "that has learned stripes. The first two layers show the stripes one by one, the next ones "
        "a bright spot on the patch, pool4 a few of its 4x4 positions.",
        draw_maps,
    ),
    LectureFigure(
        "attributions",
        "Which pixels a score hangs on, and what to believe",
        "All four ways favour the patch; but guided backpropagation draws the same for a net that "
        "has a random classifier, whose scores mean nothing.",
        "2.1",
        "Three rows, a small net A that has learned stripes and two with its convolutions and "
        "random fully connected layers. Each row: the image with a patch of standing stripes, "
        "then gradient, guided backpropagation, Grad-CAM and occlusion, bright where the score of "
        "standing hangs on the pixels. In the first row all are brightest within the patch. In the "
        "others the guided map is the same, the gradient spreads over the image, and Grad-CAM "
        "and occlusion change from net to net.",
        draw_attributions,
    ),
    LectureFigure(
        "class-model",
        "The image that a class would like best",
        "Climbing from noise towards a larger score finds stripes that stand and are as far apart "
        "as those that the net was trained on.",
        "2.1",
        "Two images of the class standing, both with upright stripes: as published, speckled and "
        "gaudy; shifted and smoothed on the way, clearer. Right: the spectrum of the first, "
        "brightest about a quarter of a period a pixel across and none down, where a white ring "
        "marks the stripes of the training.",
        draw_class_model,
    ),
    LectureFigure(
        "iou",
        "Intersection over union",
        "A box of the right size may be off by a third of its side along one direction, one of the "
        "right centre by a factor of 1.41 in its side, and less where both are wrong.",
        "A",
        "Left: a map of the IoU of two squares over their shift sideways and the ratio of their "
        "sides; it is 1 at no shift and equal sides, and the line of 0.5 runs from ratios of 0.71 "
        "and 1.41 at no shift to a shift of 0.33 at equal sides. Right: squares of one size; the "
        "IoU falls from 1 to 0 over a shift by one side, through 0.5 at 0.33 sides sideways and at "
        "0.18 sides diagonally.",
        draw_overlaps,
    ),
)


def chosen(names: Iterable[str] = ()) -> tuple[LectureFigure, ...]:
    """Return the figures of these names in the order of the lecture; without names, all.

    Raises:
        InputError: There is no figure of such a name.
    """
    wanted = set(names)
    known = [figure.name for figure in FIGURES]
    for name in sorted(wanted.difference(known)):
        raise InputError(
            f"there is no figure {name!r}; there are {', '.join(known)}{did_you_mean(name, known)}"
        )
    return tuple(figure for figure in FIGURES if not wanted or figure.name in wanted)

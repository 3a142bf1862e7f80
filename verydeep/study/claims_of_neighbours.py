"""The paper's claims about localization (appendix A) and features of other data (appendix B)."""

from __future__ import annotations

from verydeep.study.claim import MARGIN, Claim, Comparison
from verydeep.study.conditions import Condition, Head, Initialisation, Measure, Need
from verydeep.study.published import (
    CENTER,
    SVM_MEAN,
    SVM_STACK,
    SVM_WIDE,
    WHOLE,
    WHOLE_MULTI,
)


def localization_claims(how: Initialisation = "staged") -> tuple[Claim, ...]:
    """Return the claims about box regressors, all on net D.

    Args:
        how: How the classifiers that they begin with are initialised.
    """

    def boxes(head: Head, measure: Measure = CENTER) -> Need:
        return Condition("D", "fixed-large", how, head), measure

    def lower(first: str, second: str, one: Need, other: Need) -> Comparison:
        return Comparison(first, second, ((one, other),))

    smaller: Need = Condition("D", "fixed", how, "pcr-all"), WHOLE
    larger = boxes("pcr-all", WHOLE_MULTI)
    fused: Need = Condition("D", "fixed+fixed-large", how, "pcr-all"), WHOLE_MULTI
    return (
        Claim(
            "per-class",
            "localization",
            "A box for each class beats one box for all classes.",
            "appendix A.2, Table 8",
            (
                lower(
                    "a box per class (PCR)", "a single one (SCR)", boxes("pcr-fc"), boxes("scr-fc")
                ),
            ),
        ),
        Claim(
            "fine-tuning",
            "localization",
            "Fine-tuning all layers beats fine-tuning the fully connected ones alone.",
            "appendix A.2, Table 8",
            (
                lower(
                    "training all layers", "training FC layers", boxes("pcr-all"), boxes("pcr-fc")
                ),
            ),
        ),
        Claim(
            "whole-image",
            "localization",
            "Merged boxes of the whole image, of the five most likely classes, beat the box of the "
            "central crop with the true class.",
            "appendix A.2, Tables 8 and 9",
            (
                lower(
                    "the whole image", "the central crop", boxes("pcr-all", WHOLE), boxes("pcr-all")
                ),
            ),
        ),
        Claim(
            "box-scales",
            "localization",
            "Several test scales beat one, for boxes too.",
            "appendix A.2, Table 9",
            (lower("testing at two scales", "at one", larger, boxes("pcr-all", WHOLE)),),
        ),
        Claim(
            "box-fusion",
            "localization",
            "Two box regressors together beat each of them.",
            "appendix A.2, Table 9",
            (
                lower("the pair", "the net of the smaller S", fused, smaller),
                lower("the pair", "the net of the larger S", fused, larger),
            ),
        ),
    )


def transfer_claims(how: Initialisation = "staged") -> tuple[Claim, ...]:
    """Return the claims about features of another data set with a linear SVM.

    Args:
        how: How the nets are initialised.
    """
    d, e, both = (Condition(net, "jitter", how) for net in ("D", "E", "D+E"))

    def stacked(first: Condition, second: Condition) -> Comparison:
        return Comparison(first.net, second.net, (((first, SVM_STACK), (second, SVM_STACK)),))

    stacking = tuple(((one, SVM_STACK), (one, SVM_MEAN)) for one in (d, e))
    widening = tuple(((one, SVM_WIDE), (one, SVM_MEAN)) for one in (d, e))
    return (
        Claim(
            "feature-depth",
            "transfer",
            "The features of the deeper net are better: E beats D.",
            "appendix B, Table 11",
            (stacked(e, d),),
        ),
        Claim(
            "feature-fusion",
            "transfer",
            "The features of D and E together beat those of each.",
            "appendix B, Table 11",
            (stacked(both, d), stacked(both, e)),
        ),
        Claim(
            "stacking",
            "transfer",
            "Features of several scales are better stacked than averaged, where objects fill the "
            "image.",
            "appendix B",
            (Comparison("a stack", "an average", stacking),),
        ),
        Claim(
            "more-scales",
            "transfer",
            "Averages over five scales gain little over three.",
            "appendix B",
            (
                Comparison(
                    "an average of five",
                    "one of three",
                    widening,
                    "not lower",
                    MARGIN,
                    paper_difference=0.3,
                ),
            ),
        ),
    )

"""Results as text for people: columns stand in line, and every number is that of the result."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import COLOURS

from verydeep.cli.data import shards_as_text
from verydeep.cli.text.columns import align
from verydeep.cli.text.folds import folds_as_text
from verydeep.cli.text.results import (
    GLANCES,
    calibration_as_text,
    explanation_as_text,
    localization_as_text,
    result_as_text,
    run_as_text,
    table_as_text,
)
from verydeep.data.shards.manifest import Manifest
from verydeep.data.shards.write import Written
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.walkthrough import explain


def result(**changes: Any) -> dict[str, Any]:
    """Return plain values of a test, made up."""
    return {
        "models": ["D"],
        "protocol": "dense",
        "scales": [256, 384],
        "flip": True,
        "views": 4,
        "split": "test",
        "images": 12345,
        "unreadable": ["a.jpg", "b.jpg"],
        "top1_error": 24.4,
        "top5_error": 7.125,
        "top1_interval": [23.65, 25.166],
        "top5_interval": [6.68, 7.59],
        "top1_accuracy": 75.6,
        "macro_f1": 71.234,
        "classes": 37,
        "loss": 0.98765,
        "calibration_error": 3.456,
        "calibration_error_by_chance": 1.5,
        "calibrated": None,
        "seconds": 61.26,
        "steps": ["rescale: so", "views: thus"],
        **changes,
    }


# ---- columns ----


def test_columns_stand_in_line() -> None:
    rows = [("net", "layers", "note"), ("A", "11", ""), ("A-LRN", "8", "long note")]
    assert align(rows).splitlines() == [
        "net    layers       note",
        "A          11",
        "A-LRN       8  long note",
    ]
    assert align(rows, left=3).splitlines() == [
        "net    layers  note",
        "A      11",
        "A-LRN  8       long note",
    ]


def test_rows_of_other_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        align([("a", "b"), ("c",)])


# ---- one test ----


def test_a_result_says_what_was_measured_and_how() -> None:
    text = result_as_text(result())
    found = dict(
        re.split(r"\s{2,}", line, maxsplit=1) for line in text.split("\n\n")[0].split("\n")
    )
    assert found == {
        "net": "D",
        "protocol": "dense, Q = 256, 384, with mirror images",
        "views": "4 of each image",
        "split": "test",
        "images": "12,345 counted, 2 unreadable",
        "top-1 error": "24.40 %  (95 % interval 23.65 to 25.17)",
        "top-5 error": "7.12 %  (95 % interval 6.68 to 7.59)",
        "accuracy": "75.60 %  (95 % interval 74.83 to 76.35)",
        "macro F1": "71.23 %",
        "loss": "0.9877",
        "calibration error": "3.46 %  (a perfectly calibrated net: 1.50 % on average)",
        "seconds": "61.3",
    }
    assert text.endswith("\n\nHow:\n  1. rescale: so\n  2. views: thus")


def test_fused_nets_without_mirror_images() -> None:
    text = result_as_text(result(models=["D", "E"], flip=False))
    assert re.search(r"^net +D \+ E$", text, re.MULTILINE)
    assert "without mirror images" in text


def test_a_temperature_has_its_line() -> None:
    at = {"temperature": 1.2345, "loss": 0.5, "calibration_error": 0.75}
    text = result_as_text(result(calibrated=at))
    assert re.search(
        r"^at temperature 1.23[45] +loss 0.5000, calibration error 0.75 %$", text, re.MULTILINE
    )
    assert "at temperature" not in result_as_text(result())


# ---- the table ----


def table(p_values: dict[tuple[str, str], float]) -> dict[str, Any]:
    tests = [
        result(row="a", table="one scale", top1_error=30.0, top1_interval=[29.04, 31.06]),
        result(row="b", table="one scale", models=["E"], scales=[256], seconds=5.0),
        result(row="c", table="fusion", models=["D", "E"], protocol="both", views=312),
    ]
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    comparisons = [
        {
            **{"first": first, "second": second, "p_value": p_values.get((first, second), 0.5)},
            **{"only_first_wrong": 40, "only_second_wrong": 40},
        }
        for first, second in pairs
    ]
    return {**tests[-1], "protocol": "all", "tests": tests, "comparisons": comparisons}


def test_the_table_has_a_line_for_every_test_under_its_title() -> None:
    text = table_as_text(table({}))
    lines = text.splitlines()
    assert lines[0].startswith("12,345 images of test, 2 unreadable; ")
    assert lines[0].endswith("61.3 s in all")
    head = lines[2]
    assert head.split() == [
        *("net", "protocol", "Q", "views", "top-1", "95", "%", "F1"),
        *("top-5", "95", "%", "seconds"),
    ]
    body = lines[3 : lines.index("", lines.index("fusion"))]
    assert [re.split(r"\s{2,}", line) for line in body] == [
        [""],
        ["one scale"],
        [
            "a",
            "D",
            "dense",
            "256, 384",
            "4",
            "30.00",
            "29.0-31.1",
            "71.23",
            "7.12",
            "6.7-7.6",
            "61.3",
        ],
        ["b", "E", "dense", "256", "4", "24.40", "23.6-25.2", "71.23", "7.12", "6.7-7.6", "5.0"],
        [""],
        ["fusion"],
        [
            "c",
            "D+E",
            "both",
            "256, 384",
            "312",
            "24.40",
            "23.6-25.2",
            "71.23",
            "7.12",
            "6.7-7.6",
            "61.3",
        ],
    ]


def test_the_tables_columns_stand_in_line_over_all_titles() -> None:
    lines = table_as_text(table({})).splitlines()
    rows = [line for line in lines if re.match(r"[abc]  [DE]", line)]
    assert len(rows) == 3
    assert len({len(line) for line in [lines[2], *rows]}) == 1  # numbers flush right
    for column in ("net", "protocol", "Q "):
        start = lines[2].index(column)
        assert all(row[start] != " " and row[start - 1] == " " for row in rows)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000"),
        (0.9996, "1.000"),
        (0.5, ".500"),
        (0.05, ".050"),
        (0.0014, ".001"),
        (0.001, ".001"),
        (0.00099, "<.001"),
        (0.0, "<.001"),
    ],
)
def test_p_values_are_given_to_three_digits(value: float, text: str) -> None:
    lines = table_as_text(table({("a", "c"): value, ("b", "c"): 0.25})).splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["a", "b"],
        ["b", ".500"],
        ["c", text, ".250"],
    ]
    assert len(lines[-3]) == len(lines[-1])
    assert "row against column" in lines[-4]


def test_too_few_pictures_have_no_p_value() -> None:
    value = table({("a", "c"): 0.0625})
    value["comparisons"][1] |= {"only_first_wrong": 5, "only_second_wrong": 0}
    assert table_as_text(value).splitlines()[-1].split() == ["c", "few", ".500"]


def test_of_five_classes_no_top5_error_is_shown() -> None:
    few = result(classes=5)
    assert "top-5" not in result_as_text(few)
    assert "top-5" in result_as_text(result(classes=6))
    tests = [{**few, "row": row, "table": "one scale"} for row in "ab"]
    assert "top-5" not in table_as_text({**few, "tests": tests, "comparisons": []})
    ended = {"epochs": 1, "drops": 0, "stopped_because": "it", "best_epoch": 1}
    assert "top-5" not in run_as_text({**few, "tests": [few], **ended}, Path("run"))


def test_an_error_that_is_too_low_says_so() -> None:
    assert "beware" not in result_as_text(result(trained_on=0, validated_on=0))
    trained = result_as_text(result(images=180, trained_on=144, validated_on=18))
    assert re.search(r"^beware +trained on 144 of these 180 images", trained, re.MULTILINE)
    chosen = result_as_text(result(images=18, trained_on=0, validated_on=18))
    assert re.search(r"^beware +18 of these 18 images also chose the epoch", chosen, re.MULTILINE)
    few = result(images=18, split="val", selected_on="val")
    ended = {"epochs": 1, "drops": 0, "stopped_because": "it", "best_epoch": 1}
    text = run_as_text({**few, "tests": [few], **ended}, Path("run"))
    assert "learning rate; training ended: it.\n" in text
    assert "18 of these 18 images also chose the epoch" in text
    assert "accuracy 75.60 % (95 % interval" in text


# ---- an explanation ----


class Net:
    """A net that looks at the mean of an image, at every position."""

    classes = tuple(sorted(COLOURS))
    calibration = None
    abstention = None
    familiarity = None
    any_size = slides = True
    interpolation = "bilinear"
    density = "by looking"
    dimensions = 2
    pixels_at_once = 2**20
    stride = 32
    name, input_size = "D", 32

    def check_scale(self, scale: int) -> None:
        """Take any."""

    def score_map(self, pictures: np.ndarray) -> np.ndarray:
        h, w = (side // 32 for side in pictures.shape[2:])
        means = pictures.astype(np.float32).mean((2, 3)) / 64
        return np.broadcast_to(means[:, [2, 1, 0], None, None], (len(means), 3, h, w))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 75, 3), np.uint8)
    path = tmp_path_factory.mktemp("tables") / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


def explained(name: str, picture: Path, *scales: int, **how: Any) -> tuple[Any, list[str]]:
    explanation = explain([Net()], [TestProtocol(name, scales, **{"flip": True, **how})], picture)
    return explanation, explanation_as_text(explanation).splitlines()


def test_an_explanation_names_the_picture_the_steps_and_every_average(picture: Path) -> None:
    explanation, lines = explained("both", picture, 40, 64, grid=(1, 2))
    assert lines[0] == str(picture)
    for place, step in enumerate(explanation.steps, 1):
        assert f"  {place}. {step}" in lines
    heads = [line for line in lines if line.startswith("net ")]
    assert heads == [
        "net 1 (D), Q = 40: rescaled to 40x60 (height x width), dense, 2 views",
        "net 1 (D), Q = 40: rescaled to 40x60 (height x width), grid, 4 views",
        "net 1 (D), Q = 64: rescaled to 64x96 (height x width), dense, 2 views",
        "net 1 (D), Q = 64: rescaled to 64x96 (height x width), grid, 4 views",
    ]
    averages = [line for line in lines if re.match(r"  averaged over \d+ views?: ", line)]
    for line, stage in zip(averages, explanation.stages, strict=True):
        name, probability = explanation.guess(stage.likely)
        count = len(stage.glances)
        assert line == f"  averaged over {count} views: {name} {100 * probability:.2f} %"
    name, probability = explanation.guess(explanation.likely)
    assert lines[-1] == f"averaged over all: {name} {100 * probability:.2f} %"


def test_every_view_has_a_line_with_window_map_and_class(picture: Path) -> None:
    explanation, lines = explained("dense", picture, 64)
    start = lines.index(next(line for line in lines if line.startswith("net ")))
    head, first, second = lines[start + 1 : start + 4]
    assert head.split() == ["top", "left", "height", "width", "map", "likeliest"]
    name, probability = explanation.guess(explanation.stages[0].glances[0].likely)
    assert first.split() == ["0", "0", "64", "96", "2x3", name, f"{100 * probability:.2f}", "%"]
    assert second.split()[4:6] == ["mirrored", "2x3"]
    assert len(first) == len(second)


def test_views_that_are_resized_say_to_what(picture: Path) -> None:
    _, lines = explained("googlenet", picture, 40, flip=False)
    squares = [line for line in lines if "->" in line]
    assert squares
    for line in squares:
        assert re.search(r" 40  40 -> 32 ", line)


def test_no_more_views_are_listed_than_can_be_read(picture: Path) -> None:
    explanation, lines = explained("crops", picture, 64)
    assert len(explanation.stages[0].glances) == 50
    listed = [line for line in lines if line.endswith(" %") and " 1x1 " in line]
    assert len(listed) == GLANCES
    assert f"  ... and {50 - GLANCES} other views (all of them with --json)" in lines


def test_a_view_that_is_shown_several_times_is_listed_once(picture: Path) -> None:
    # At the input size a grid's rows have no room to move: three rows are the same.
    explanation, lines = explained("crops", picture, 32, grid=(3, 2), flip=False)
    assert len(explanation.stages[0].glances) == 6
    listed = [line for line in lines if line.endswith(" %") and " 1x1 " in line]
    assert len(listed) == 2
    assert all(" 3 times " in line for line in listed)
    assert any("averaged over 6 views" in line for line in lines)


def test_one_view_is_not_called_several(picture: Path) -> None:
    _, lines = explained("center", picture, 40, flip=False)
    assert any(line.endswith("center, 1 view") for line in lines)
    assert any(line.startswith("  averaged over 1 view: ") for line in lines)


def test_a_picture_in_memory_is_called_that(picture: Path) -> None:
    with Image.open(picture) as image:
        explanation = explain([Net()], [TestProtocol("center", (32,), flip=True)], image.copy())
    assert explanation_as_text(explanation).startswith("an image in memory\n")
    assert explanation.likely.sum() == pytest.approx(1)


# ---- runs and temperatures ----


def test_the_end_of_a_run_says_where_things_are() -> None:
    metrics = {
        "tests": [result(protocol="center", scales=[36]), result()],
        "epochs": 74,
        "drops": 3,
        "stopped_because": "the plateau",
        "best_epoch": 71,
    }
    lines = run_as_text(metrics, Path("runs/d")).splitlines()
    assert [re.split(r"\s{2,}", line) for line in lines[:3]] == [
        ["test", "split", "top-1 error", "95 %", "top-5 error", "loss", "images"],
        ["center, Q = 36", "test", "24.40 %", "23.65 to 25.17", "7.12 %", "0.9877", "12,345"],
        ["dense, Q = 256, 384", "test", "24.40 %", "23.65 to 25.17", "7.12 %", "0.9877", "12,345"],
    ]
    assert len({len(line) for line in lines[:3]}) == 1
    rest = "\n".join(lines[3:])
    for part in ("74 epochs, 3 drops", "training ended: the plateau.", str(Path("runs/d/model"))):
        assert part in rest
    assert "epoch 71" in rest
    assert str(Path("runs/d/report.html")) in rest


def test_one_epoch_is_not_called_several() -> None:
    test = result(scales=[32], nets=["A"], models=[], top=5)
    metrics = {"tests": [test], "epochs": 1, "drops": 1, "stopped_because": "…", "best_epoch": 1}
    text = run_as_text(metrics, Path("r"))
    assert "1 epoch, 1 drop of" in text


def test_a_folder_with_a_blank_is_quoted_in_the_command_that_comes_next() -> None:
    written = Written(Path("a b"), Manifest.model_construct(classes=("x",), splits={}), 0, ())
    assert shlex.split(shards_as_text(written).partition("train with ")[2])[2] == "a b"


def test_a_box_regressor_stands_beside_boxes_that_know_nothing() -> None:
    test = {
        **result(protocol="center", scales=[64], nets=["A"], models=[], without_box=3, top=5),
        **dict.fromkeys(("top1_error", "top5_error", "loss")),
        "localization_error": 32.6,
        "localization_interval": [28.637, 36.825],
        "mean_iou": 0.5961,
        "baselines": {
            "mean_box": {"error": 39.2, "mean_iou": 0.484},
            "whole_picture": {"error": 44.0, "mean_iou": 0.54},
        },
        "comparison": {
            "baseline": "mean_box",
            "only_net_right": 1055,
            "only_baseline_right": 22,
            "p_value": 0.01234,
        },
    }
    compared = (
        "with the true class, against the mean box: right where the other is not on 1,055 and 22 "
        "images, p-value .012 (McNemar)"
    )
    metrics = {
        "tests": [test],
        "epochs": 10,
        "drops": 1,
        "stopped_because": "the plateau",
        "best_epoch": 9,
    }
    lines = run_as_text(metrics, Path("runs/boxes")).splitlines()
    assert [re.split(r"\s{2,}", line.strip()) for line in lines[:4]] == [
        ["test", "split", "localization error", "95 %", "mean IoU", "images"],
        ["center, Q = 64", "test", "32.60 %", "28.64 to 36.83", "0.596", "12,345"],
        ["mean box", "39.20 %", "0.484"],
        ["whole image", "44.00 %", "0.540"],
    ]
    assert lines[4] == compared
    alone = localization_as_text(test).splitlines()
    assert alone[-1] == compared
    for change, word in (
        ({"only_net_right": 3, "only_baseline_right": 3, "p_value": 1.0}, "has learned nothing"),
        ({"only_net_right": 5, "only_baseline_right": 2, "p_value": 0.45}, "nothing shows"),
    ):
        weak = {**test, "comparison": test["comparison"] | change}
        assert word in localization_as_text(weak)
        assert word in run_as_text(metrics | {"tests": [weak]}, Path("runs/boxes"))
        assert word not in localization_as_text(test)
    earlier = {key: value for key, value in test.items() if key not in ("baselines", "comparison")}
    assert compared not in run_as_text(metrics | {"tests": [earlier]}, Path("runs/boxes"))


def test_a_temperature_says_what_it_was_fitted_on() -> None:
    text = calibration_as_text(
        {
            "temperature": 1.23456,
            "split": "val",
            "protocol": "dense at Q = 36",
            "images": 5000,
            "loss_before": 1.0,
            "loss_after": 0.87654,
            "loss_held_out": 0.89,
            "gain": (0.1, 0.12),
            "kept": True,
        }
    )
    for part in ("temperature 1.2346", "5,000 images of val (dense at Q = 36)", "1.0000", "0.8900"):
        assert part in text
    assert "0.1000 to 0.1200" in text
    assert "--calibrate none" in text


def test_folds_have_the_decimals_of_other_results() -> None:
    measured = {"top1_error": 12.3456, "top5_error": 1.0, "macro_f1": None, "loss": 0.51249}
    spread = {"mean": measured, "std": dict.fromkeys(measured)}
    fold = {**measured, "fold": 1, "images": 1200, "epochs": 7}
    metrics = {**result(), **spread, "classes": 37, "folds": [fold]}
    head, *rows = folds_as_text(metrics, Path("cv")).split("\n\n")[0].splitlines()
    assert re.split("  +", head.strip())[3:] == [
        *("top-1 error (%)", "top-5 error (%)", "macro F1 (%)", "loss (nats)")
    ]
    assert [row.split() for row in rows] == [
        ["1", "1,200", "7", "12.35", "1.00", "–", "0.512"],
        ["mean", "12.35", "1.00", "–", "0.512"],
        ["std", *"––––"],
    ]

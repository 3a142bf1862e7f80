"""Box regressors in evaluate, predict and the demo."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from random_nets import random_classifier
from tiny import Outcome, strict_json, write_boxed

import verydeep
from verydeep import train
from verydeep.data.geometry import Box
from verydeep.data.read import read_dataset
from verydeep.evaluation.protocol import multiple_scales
from verydeep.localization.head import LOSSES
from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.localization.predict import localize
from verydeep.localization.protocol import BoxProtocol
from verydeep.localization.result import LocalizationResult
from verydeep.localization.validation import check_center
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.models.prediction import Prediction
from verydeep.nets.vgg import vgg
from verydeep.recipe.recipe import load_recipe
from verydeep.run.predict import draw_predictions
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

Program = Callable[..., Outcome]


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_boxed(tmp_path_factory.mktemp("boxed"))


@pytest.fixture(scope="module")
def box_run(trained_run: Path, boxed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a box regressor that has begun to learn."""
    settings = (
        *(f"initialize.source={trained_run}", "data.flip=false", "data.cache=device"),
        *("training.batch=8", "training.micro_batch=8", "training.learning_rate=0.1"),
        *("training.epochs=8", "training.schedule=one-cycle", "training.precision=fp32"),
        *("training.device=cpu", "net.dropout=0", "test.scales=[36]"),
    )
    out = tmp_path_factory.mktemp("runs") / "boxes"
    train(boxed, load_recipe("localization", settings), out)
    return out


@pytest.fixture
def box_regressor(box_run: Path) -> Localizer:
    return load_localizer(box_run, compute=Compute(device="cpu", precision="fp32"))


def only_json(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return strict_json(outcome.out)


def overlap_by_hand(a: Sequence[float], b: Sequence[float]) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    common = max(0.0, wide) * max(0.0, high)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return common / (sum(areas) - common)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


# ---- evaluate ----


def test_a_box_regressor_by_itself_is_told_the_class(box_run: Path, verydeep: Program) -> None:
    found = only_json(verydeep("evaluate", box_run, "--precision", "fp32", "--json"))
    assert (found["protocol"], found["models"], found["images"]) == ("center", [], 12)
    kept = strict_json((box_run / "metrics.json").read_text("utf-8"))
    for key in ("localization_error", "mean_iou", "scales"):
        assert found[key] == pytest.approx(kept[key]), key
    for name, figures in kept["baselines"].items():
        assert found["baselines"][name] == pytest.approx(figures)
    assert set(found["baselines"]) == {
        *("mean_box", "constant_box", "whole_picture", "central_square")
    }
    assert "localization error" in verydeep("evaluate", box_run).out


def test_the_mean_box_is_that_of_the_training_whatever_is_tested(
    box_run: Path, boxed: Path, tmp_path: Path, verydeep: Program
) -> None:
    """Other data, without a training split of their own."""
    kept = table(boxed)
    sizes = [size_of(boxed.parent / row["file"]) for row in kept]
    centres = [
        (int(row["x0"]) + int(row["x1"])) / 2 / width
        for row, (width, _) in zip(kept, sizes, strict=True)
        if row["split"] == "train"
    ]
    config = strict_json((box_run / "model" / "config.json").read_text("utf-8"))
    assert config["baselines"]["mean_box"][0] == pytest.approx(np.mean(centres))
    other = write_boxed(tmp_path / "other", 8, seed=5)
    undivided = re.sub(",(split|train|val|test),", ",", other.read_text("utf-8"))
    other.write_text(undivided, "utf-8")
    found = only_json(verydeep("evaluate", box_run, "--data", other, "--json"))
    x, y, width, height = config["baselines"]["mean_box"]
    overlaps = []
    for row in table(other):
        wide, high = size_of(other.parent / row["file"])
        mean = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        mean = [edge * side for edge, side in zip(mean, (wide, high) * 2, strict=True)]
        overlaps.append(overlap_by_hand(mean, [float(row[e]) for e in ("x0", "y0", "x1", "y1")]))
    assert found["images"] == len(overlaps)
    assert found["baselines"]["mean_box"]["mean_iou"] == pytest.approx(np.mean(overlaps))


def test_the_test_of_an_epoch_is_that_of_the_end(box_run: Path, box_regressor: Localizer) -> None:
    """The quick test against the one with answers and baselines."""
    dataset = read_dataset(read_data(box_run))
    for split in ("val", "test"):
        figures, faults = check_center(
            box_regressor, dataset.split(split), 36, LOSSES["euclidean"], workers=0
        )
        result = verydeep.evaluate_localization(
            box_run, split=split, compute=Compute(device="cpu", precision="fp32")
        )
        assert figures.localization_error == result.localization_error
        assert figures.mean_iou == pytest.approx(result.mean_iou, abs=1e-9)
        assert not faults
        assert figures.loss > 0


def read_data(run: Path) -> Path:
    return Path(json.loads((run / "data.json").read_text("utf-8"))["data"])


def test_beside_a_classifier_the_class_is_guessed(
    trained_run: Path, box_run: Path, boxed: Path, verydeep: Program
) -> None:
    words = ("evaluate", trained_run, "--boxes", box_run, "--data", boxed, "--json")
    found = only_json(verydeep(*words))
    assert (found["protocol"], found["models"], found["nets"]) == ("dense", ["A"], ["A"])
    assert found["top"] == 3  # classes there are
    assert found["localization_error"] <= found["top1_localization_error"]
    assert found["true_class_error"] <= found["localization_error"]
    several = only_json(verydeep(*words, "--boxes", box_run, "--top", "1", "--scales", "36,40"))
    assert (several["nets"], several["top"], several["scales"]) == (["A", "A"], 1, [36, 40])
    told = only_json(verydeep(*words, "--protocol", "center"))
    assert told["localization_error"] == told["true_class_error"]
    merged = only_json(verydeep(*words, "--threshold", "-1"))
    assert merged["merging"]["threshold"] == -1
    few = only_json(verydeep(*words, "--most", "7"))
    assert few["merging"]["most"] == 7


def test_crops_stand_in_for_the_positions(
    trained_run: Path, box_run: Path, boxed: Path, tmp_path: Path, verydeep: Program
) -> None:
    words = ("evaluate", trained_run, "--boxes", box_run, "--data", boxed, "--scales", "36,48")
    crops = (*words, "--protocol", "crops", "--grid", "2x3")
    found = only_json(verydeep(*crops, "--json", "--out", tmp_path))
    assert (found["protocol"], found["grid"], found["scales"]) == ("crops", [2, 3], [36, 48])
    assert found["top1_localization_error"] is not None
    assert (tmp_path / "merging.png").is_file()
    text = verydeep(*crops).out
    assert "crops 2x3, Q = 36, 48, with" in text
    assert "likeliest class" in text
    python = verydeep_result(trained_run, box_run, boxed, grid=(2, 3))
    assert python.grid == (2, 3)
    assert python.mean_iou == pytest.approx(found["mean_iou"], abs=0.02)
    other = verydeep_result(trained_run, box_run, boxed, grid=(1, 1))
    assert other.mean_iou != python.mean_iou
    assert only_json(verydeep(*words, "--json"))["grid"] is None


def verydeep_result(
    classifier: Path, boxes: Path, data: Path, *, grid: tuple[int, int]
) -> LocalizationResult:
    return verydeep.evaluate_localization(
        classifier, boxes, data, BoxProtocol("crops", scales=(36, 48), grid=grid)
    )


def test_what_no_window_sees_is_said_once(
    trained_run: Path, box_run: Path, boxed: Path, verydeep: Program
) -> None:
    words = ("evaluate", trained_run, "--boxes", box_run, "--data", boxed, "--json", "--scales")
    assert verydeep(*words, "36,48").err.count("pixels are in no window") == 1
    assert "in no window" not in verydeep(*words, "32,64").err


def test_several_scales_of_dense_leave_nothing_out(
    trained_run: Path, box_run: Path, boxed: Path, verydeep: Program
) -> None:
    words = ("evaluate", trained_run, "--boxes", box_run, "--data", boxed, "--scales", "multi")
    dense = only_json(verydeep(*words, "--json"))
    assert not any((scale - 32) % 32 for scale in dense["scales"])
    crops = only_json(verydeep(*words, "--protocol", "crops", "--grid", "2", "--json"))
    net = load_localizer(box_run)
    assert tuple(crops["scales"]) == multiple_scales(net.train_scale, net.input_size)


def test_a_test_leaves_files_that_others_read(
    trained_run: Path, box_run: Path, boxed: Path, tmp_path: Path, verydeep: Program
) -> None:
    out = tmp_path / "out"
    words = ("evaluate", trained_run, "--boxes", box_run, "--data", boxed, "--out", out, "--json")
    found = only_json(verydeep(*words))
    assert strict_json((out / "result.json").read_text("utf-8")) == found
    page = (out / "report.html").read_text("utf-8")
    assert page.count('href="data:image/jpeg;base64,') == 12
    assert f"<td>{found['mean_iou']:.3f}</td>" in page
    table_of_errors = page.partition("<caption>Errors by the classes")[2].partition("</table>")[0]
    numbers = re.findall(r"<td>([^<]*)</td>", table_of_errors)
    errors = [
        found[f"{name}_error"] for name in ("true_class", "localization", "top1_localization")
    ]
    assert numbers[::3] == [f"{error:.2f}" for error in errors]
    assert numbers[2::3] == ["–", "–", f"{found['top1_error']:.2f}"]
    assert "top 3" in table_of_errors
    rows = table(out / "boxes.csv")
    assert len(rows) == 12
    plain = re.sub(r"</?(?:bdi|wbr|span)[^>]*>", "", page)
    for row in rows:
        right = row["class_1"] == row["class"]
        guess = "class correct" if right else f"predicted {row['class_1']}"
        guess += f", {100 * float(row['probability_1']):.0f} %"
        assert f"<small>{guess}</small><small>{row['file']}</small>" in plain
    truth = {row["file"]: row for row in table(boxed)}
    edges = ("x0", "y0", "x1", "y1")
    overlaps = []
    for row in rows:
        assert row["class"] == truth[row["file"]]["label"]
        ours, theirs = ([float(r[edge]) for edge in edges] for r in (row, truth[row["file"]]))
        overlaps.append(overlap_by_hand(ours, theirs))
        assert float(row["iou"]) == pytest.approx(overlaps[-1], abs=1e-3)
    assert found["mean_iou"] == pytest.approx(np.mean(overlaps), abs=1e-3)
    coco = COCO(str(out / "coco_truth.json"))
    results = coco.loadRes(str(out / "coco_results.json"))
    evaluation = COCOeval(coco, results, "bbox")
    evaluation.evaluate()
    assert len(coco.getImgIds()) == 12
    with Image.open(out / "gallery.png") as gallery:
        assert min(gallery.size) > 100
    with Image.open(out / "merging.png") as merging:
        assert min(merging.size) > 100
    verydeep(*words, "--protocol", "center", "--out", tmp_path / "center")
    page = (tmp_path / "center" / "report.html").read_text("utf-8")
    assert "What is it, and where" not in page
    assert {path.name for path in (tmp_path / "center").iterdir()} == {
        path.name for path in out.iterdir() if path.name != "merging.png"
    }


def write_own_coco(table_of: Path, folder: Path) -> Path:
    """Write the test images in COCO's layout with numbers of its own and two boxes each."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").mkdir()
    images, annotations = [], []
    for place, row in enumerate(r for r in table(table_of) if r["split"] == "test"):
        data = (table_of.parent / row["file"]).read_bytes()
        (folder / "images" / row["file"]).write_bytes(data)
        images.append({"id": 50_000 - 7 * place, "file_name": row["file"]})
        x0, y0, x1, y1 = (int(row[edge]) for edge in ("x0", "y0", "x1", "y1"))
        category = 100 + ["red", "green", "blue"].index(row["label"])
        for box in ([x0, y0, x1 - x0, y1 - y0], [1, 2, 12, 11]):
            annotation = {
                "id": 9 * len(annotations) + 4,
                "image_id": images[-1]["id"],
                "category_id": category,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            annotations.append(annotation)
    categories = [{"id": 100 + n, "name": name} for n, name in enumerate(("red", "green", "blue"))]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    file = folder / "annotations" / "instances_val.json"
    file.write_text(json.dumps(content), "utf-8")
    other = content | {"images": images[:3], "annotations": annotations[:6]}
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(other), "utf-8")
    return file


@pytest.mark.parametrize("given", ["folder", "file"])
def test_results_can_be_scored_against_the_users_own_file(
    given: str, trained_run: Path, box_run: Path, boxed: Path, tmp_path: Path, verydeep: Program
) -> None:
    own = write_own_coco(boxed, tmp_path / "data")
    data = own if given == "file" else tmp_path / "data"
    words = ("evaluate", trained_run, "--boxes", box_run, "--data", data)
    found = only_json(verydeep(*words, "--out", tmp_path / "out", "--json"))
    coco = COCO(str(own))
    evaluation = COCOeval(coco, coco.loadRes(str(tmp_path / "out" / "coco_results.json")), "bbox")
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.evaluate()
    evaluation.accumulate()
    recall = evaluation.eval["recall"][0, :, 0, -1]
    # All three classes are guessed: an image is right if its class's box meets one of its two.
    assert found["top"] == 3
    right = round(found["images"] * (100 - found["localization_error"]) / 100)
    assert sum(recall * 8) == pytest.approx(right)  # 4 images of each class
    truth = COCO(str(tmp_path / "out" / "coco_truth.json"))
    assert sorted(truth.getImgIds()) == sorted(coco.getImgIds())
    assert {c["id"]: c["name"] for c in truth.loadCats(truth.getCatIds())} == {
        c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())
    }
    names = {image["id"]: image["file_name"] for image in coco.loadImgs(coco.getImgIds())}
    for image in truth.loadImgs(truth.getImgIds()):
        assert Path(image["file_name"]).name == names[image["id"]]


def test_categories_keep_their_ids_however_they_are_spelled(boxed: Path, tmp_path: Path) -> None:
    own = write_own_coco(boxed, tmp_path / "data")
    spelled = own.read_text("utf-8").replace('"red"', '"cafe\u0301"')
    own.write_text(spelled, "utf-8")
    model = random_classifier(name="A", num_classes=3)
    model.classes = ("blue", "caf\u00e9", "green")
    net = vgg("A", 4, input_size=32, width=0.03).eval()
    common = {name: getattr(model, name) for name in ("classes", "preprocessing", "train_scale")}
    regressor = Localizer(net=net, per_class=False, test_scales=(32,), **common)
    verydeep.evaluate_localization(model, regressor, own, out=tmp_path / "out")
    truth = strict_json((tmp_path / "out" / "coco_truth.json").read_text("utf-8"))
    assert {c["id"]: c["name"] for c in truth["categories"]} == {
        100: "caf\u00e9",
        101: "green",
        102: "blue",
    }
    assert {a["category_id"] for a in truth["annotations"]} == {100, 101, 102}


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("MODEL", "BOXES"), "cannot be fused"),
        (("BOXES", "--boxes", "BOXES"), "a box regressor .*where a classifier is needed"),
        (("MODEL", "--boxes", "MODEL"), "a classifier .*where a box regressor is needed"),
        (("MODEL", "--boxes", "BOXES", "--calibrate", "val"), "--calibrate is for classifiers"),
        (("MODEL", "--boxes", "BOXES", "--explain"), "--explain is for classifiers"),
        (("MODEL", "--boxes", "BOXES", "--grid", "3x3"), "--grid is for crops"),
        (("MODEL", "--boxes", "BOXES", "--average", "scores"), "--average is for classifiers"),
        (("MODEL", "--boxes", "BOXES", "--protocol", "both"), "center, dense, crops"),
        (("MODEL", "--boxes", "BOXES", "--protocol", "crops", "--grid", "0x2"), "got 0x2"),
        (("BOXES", "--protocol", "crops"), "name a classification net too"),
        (("BOXES", "--protocol", "dense"), "name a classification net too"),
        (("BOXES", "--scales", "20"), "at least 32"),
    ],
)
def test_what_cannot_be_tested_is_refused(
    words: tuple[str, ...], fault: str, trained_run: Path, box_run: Path, verydeep: Program
) -> None:
    names = {"MODEL": trained_run, "BOXES": box_run}
    outcome = verydeep("evaluate", *(names.get(word, word) for word in words))
    assert (outcome.code, outcome.out) == (2, "")
    assert re.search(fault, outcome.err), outcome.err


# ---- predict ----


@pytest.fixture
def tests(boxed: Path) -> list[Path]:
    return sorted(boxed.parent.glob("test*.png"))[:4]


def test_predictions_say_where(
    trained_run: Path, box_run: Path, tests: list[Path], tmp_path: Path, verydeep: Program
) -> None:
    words = ("predict", trained_run, *tests, "--boxes", box_run, "--top", "2")
    found = only_json(verydeep(*words, "--json"))["predictions"]
    assert [one["file"] for one in found] == [str(path) for path in tests]
    for one in found:
        assert len(one["classes"]) == 2
        for guess in one["classes"]:
            x0, y0, x1, y1 = guess["box"]
            assert 0 <= x0 < x1 <= 60
            assert 0 <= y0 < y1 <= 60
    text = verydeep(*words).out
    x0, y0, *_ = found[0]["classes"][0]["box"]
    assert f"from {x0:.0f},{y0:.0f} to " in text
    rows = list(csv.DictReader(io.StringIO(verydeep(*words, "--csv").out)))
    assert len(rows) == 4
    for row, one in zip(rows, found, strict=True):
        for place, guess in enumerate(one["classes"], 1):
            assert row[f"class_{place}"] == guess["class"]
            told = [float(row[f"{edge}_{place}"]) for edge in ("x0", "y0", "x1", "y1")]
            assert told == pytest.approx(guess["box"], abs=0.01)
    assert verydeep(*words, "--out", tmp_path / "drawn").code == 0
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert [path.name for path in drawn] == [path.name for path in tests]
    with Image.open(drawn[0]) as picture, Image.open(tests[0]) as original:
        larger = original.convert("RGB").resize(picture.size)
        assert (np.asarray(picture, int) - np.asarray(larger, int)).max() > 50


class Counting(Progress):
    """Keeps what is said of the work."""

    def __init__(self) -> None:
        self.total: dict[str, int] = {}
        self.done: dict[str, float] = {}

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        self.total[title] = total
        self.title = title
        yield self

    def update(self, done: float, note: str = "") -> None:
        self.done[self.title] = done


@pytest.mark.parametrize("with_boxes", [True, False])
def test_a_prediction_says_how_far_it_is(
    with_boxes: bool,
    trained_run: Path,
    box_run: Path,
    tests: list[Path],
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = Counting()
    monkeypatch.setattr("verydeep.system.progress.console_progress", lambda: said)
    boxes = ("--boxes", box_run) if with_boxes else ()
    only_json(verydeep("predict", trained_run, *tests, *boxes, "--json"))
    title = "finding objects" if with_boxes else "naming images"
    assert (said.total, said.done) == ({title: 4}, {title: 4})


def test_predictions_are_found_as_they_are_asked_for(
    trained_run: Path, box_run: Path, tests: list[Path], verydeep: Program
) -> None:
    """The program's words against Python's arguments, each of which changes the boxes."""
    classifier, boxes = verydeep_nets(trained_run, box_run)
    words = ("predict", trained_run, *tests, "--boxes", box_run, "--precision", "fp32", "--json")
    seen = []
    for options, arguments in (
        ((), {}),
        (("--scales", "64"), {"scales": (64,)}),
        (("--scales", "64", "--no-flip"), {"scales": (64,), "flip": False}),
        (("--scales", "64", "--threshold", "1"), {"scales": (64,), "threshold": 1}),
        (
            ("--scales", "64", "--protocol", "crops", "--grid", "2x3"),
            {"scales": (64,), "name": "crops", "grid": (2, 3)},
        ),
    ):
        found = only_json(verydeep(*words, "--device", "cpu", *options))["predictions"]
        ours = [guess["box"] for one in found for guess in one["classes"]]
        expected = localize(classifier, boxes, tests, BoxProtocol(**{"name": "dense"} | arguments))
        assert ours == [pytest.approx(box, abs=1e-3) for one in expected for box in one.boxes]
        seen.append(ours)
    assert all(a != b for a, b in combinations(seen, 2))


def verydeep_nets(classifier: Path, boxes: Path) -> tuple[Classifier, Localizer]:
    one = load_classifier(classifier, compute=Compute(device="cpu", precision="fp32"))
    return one, load_localizer(boxes, compute=Compute(device="cpu", precision="fp32"))


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--threshold", "0"), "name a box regressor with --boxes"),
        (("--protocol", "crops"), "name a box regressor with --boxes"),
        (("--boxes", "BOXES", "--grid", "3x3"), "--grid is for crops"),
        (("--boxes", "BOXES", "--protocol", "center"), "dense or crops, got 'center'"),
        (("--scales", "many"), "whole numbers like 256 or 256,384,512, got 'many'"),
        (("--scales", "20"), "at least 32"),
    ],
)
def test_what_cannot_be_predicted_is_refused(
    words: tuple[str, ...],
    fault: str,
    trained_run: Path,
    box_run: Path,
    tests: list[Path],
    verydeep: Program,
) -> None:
    given = (box_run if word == "BOXES" else word for word in words)
    outcome = verydeep("predict", trained_run, tests[0], *given)
    assert (outcome.code, outcome.out) == (2, "")
    assert fault in outcome.err


def test_without_a_box_regressor_nothing_is_said_of_places(
    trained_run: Path, tests: list[Path], tmp_path: Path, verydeep: Program
) -> None:
    found = only_json(verydeep("predict", trained_run, tests[0], "--json"))
    assert "box" not in found["predictions"][0]["classes"][0]
    outcome = verydeep("predict", trained_run, tests[0], "--out", tmp_path / "drawn")
    assert outcome.code == 2
    assert "--boxes" in outcome.err


def test_an_unreadable_picture_is_named_beside_the_others(
    trained_run: Path, box_run: Path, tests: list[Path], tmp_path: Path, verydeep: Program
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    words = ("predict", trained_run, broken, tests[0], "--boxes", box_run)
    outcome = verydeep(*words, "--json", "--out", tmp_path / "drawn")
    found = only_json(outcome)
    assert found["unreadable"] == [str(broken)]
    assert len(found["predictions"]) == 1
    assert "broken.png" in outcome.err
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == [tests[0].name]


def test_python_says_the_same(
    trained_run: Path, box_regressor: Localizer, tests: list[Path]
) -> None:
    classifier = verydeep.load(trained_run, compute=Compute(device="cpu", precision="fp32"))
    (one,) = verydeep.localize(
        classifier, box_regressor, tests[0], BoxProtocol("dense", scales=(40,), top=1)
    )
    assert one.source == tests[0]
    assert one.ranking[0][0] == one.label
    assert len(one.boxes) == 1


# ---- the demo ----


def test_the_demo_goes_on_where_it_was_left(
    monkeypatch: pytest.MonkeyPatch,
    trained_run: Path,
    box_run: Path,
    tmp_path: Path,
    verydeep: Program,
) -> None:
    """The trainings are replaced by runs on tiny data; all else is the demo's."""
    calls: list[tuple[Any, ...]] = []

    def quick(data: str, recipe: Any, out: Path, *, resume: bool, progress: Any) -> dict[str, Any]:
        source = recipe.initialize.source if not isinstance(recipe, str) else None
        calls.append((data, recipe if source is None else source, out, resume))
        run = trained_run if source is None else box_run
        for path in run.rglob("*"):
            if path.is_file():
                copy = out / path.relative_to(run)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
        if source is None:  # the digits have boxes; these images have none
            (out / "data.json").write_bytes((box_run / "data.json").read_bytes())
        return dict(strict_json((run / "metrics.json").read_text("utf-8")))

    monkeypatch.setattr("verydeep.run.demo.train", quick)
    out = tmp_path / "demo"
    found = only_json(verydeep("demo", "--out", out, "--json"))
    assert set(found) >= {"top1_error", "top5_error", "localization_error", "mean_iou", "epochs"}
    assert found["localization"]["center"]["mean_iou"] == found["mean_iou"]
    assert found["localization"]["dense"]["protocol"] == "dense"
    text = verydeep("demo", "--out", out, "--resume").out
    assert all(words in text for words in ("top-1 error", "localization error", "mean IoU"))
    boxes = out / "localization"
    assert calls == [
        ("digits", "demo", out, False),
        ("digits", str(out), boxes, False),
        ("digits", "demo", out, True),
        ("digits", str(out), boxes, True),
    ]


@pytest.mark.parametrize(
    ("likely", "above", "drawn"),
    [
        ((0.4, 0.3, 0.3), None, 1),
        ((0.9, 0.06, 0.04), None, 1),
        ((0.7, 0.2, 0.05), 0.2, 2),
        ((0.09, 0.08, 0.07), 0.5, 1),
        ((0.4, 0.3, 0.3), 0.0, 3),
    ],
)
def test_only_the_likeliest_class_and_those_asked_for_get_a_box_in_a_drawing(
    likely: tuple[float, ...],
    above: float | None,
    drawn: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    marked: list[int] = []

    def draw_boxes(picture: Image.Image, marks: list[object]) -> Image.Image:
        marked.append(len(marks))
        return picture

    monkeypatch.setattr("verydeep.visualization.plots.boxes.draw_boxes", draw_boxes)
    ranking = tuple(zip("abc", likely, strict=True))
    boxes = (Box(0, 0, 9, 9), Box(1, 1, 9, 9), Box(2, 2, 9, 9))
    prediction = Prediction(tmp_path / "a.png", ranking, boxes=boxes)
    draw_predictions([prediction], tmp_path / "drawn", above)
    assert marked == [drawn]


@pytest.mark.parametrize("words", [("--boxes", "nets", "--out"), ("--sort",)])
def test_a_folder_that_cannot_be_is_refused_before_anything_is_predicted(
    words: tuple[str, ...],
    tmp_path: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()  # holds no model, which is found out later
    (tmp_path / "taken").write_text("a file")
    Image.new("RGB", (40, 40)).save("a.png")
    outcome = verydeep("predict", "nets", "a.png", *words, "taken")
    assert (outcome.code, outcome.out) == (2, "")
    assert re.search("taken: .*(not a folder|Not a directory)", outcome.err), outcome.err


def test_draw_above_needs_a_folder(verydeep: Program) -> None:
    found = verydeep("predict", "runs/a", "a.png", "--boxes", "runs/b", "--draw-above", "0.2")
    assert found.code == 2
    assert "--out" in found.err

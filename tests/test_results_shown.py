"""Results show themselves in a short line, and in a notebook as a table where names do nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import verydeep
from verydeep.errors import PictureError
from verydeep.models.prediction import Prediction, Predictions
from verydeep.system.settings import Compute

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def model(trained_run: Path) -> verydeep.Classifier:
    return verydeep.load(trained_run, compute=Compute(device="cpu", precision="fp32"))


def test_what_python_shows_is_short(model: verydeep.Classifier, pictures: Path) -> None:
    shown = [
        model,
        model.predict(pictures / "test")[0],
        verydeep.evaluate(model, pictures),
        verydeep.evaluate_all(model, pictures),
        verydeep.read_dataset(pictures),
        verydeep.check(pictures),
        verydeep.anatomy("D"),
    ]
    for value in shown:
        assert len(repr(value)) < 300, type(value)
        assert "\n" not in repr(value)
        assert type(value).__name__ in repr(value)


def test_a_prediction_has_a_class_and_a_probability(
    model: verydeep.Classifier, pictures: Path
) -> None:
    seen = model.predict(pictures / "test" / "red", top=2)
    for one in seen:
        assert one.class_name == model.classes[int(one.probabilities.argmax())] == one.label
        assert one.probability == pytest.approx(float(one.probabilities.max()))
        assert one.probabilities.dtype == np.float32
        assert one.probabilities.shape == (3,)
    table = model.predict_proba(pictures / "test" / "red")
    np.testing.assert_array_equal(table, [one.probabilities for one in seen])
    np.testing.assert_allclose(table.sum(1), 1, rtol=1e-5)


def test_the_class_has_its_name_and_the_ranking_its_title(
    model: verydeep.Classifier, pictures: Path
) -> None:
    titled = replace(model, titles={"red": "Red, a colour"})
    (one,) = titled.predict(next((pictures / "test" / "red").iterdir()))
    assert (one.class_name, one.title, one.label) == ("red", "Red, a colour", "Red, a colour")


def test_probabilities_need_pictures_that_can_be_read(
    model: verydeep.Classifier, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    (one,) = model.predict(tmp_path)
    assert (one.class_name, one.probability, one.probabilities) == (None, None, None)
    with pytest.raises(PictureError, match=r"a\.png"):
        model.predict_proba(tmp_path)


def test_names_do_nothing_in_a_notebook() -> None:
    seen = Predictions([Prediction(Path(f"{EVIL}.png"), ((EVIL, 0.5),)), Prediction(None, (), "x")])
    page = seen._repr_html_()
    assert EVIL not in page
    assert page.count("&lt;script&gt;") == 2
    assert EVIL not in seen[0]._repr_html_()
    assert f"and {60 - 50} more" in Predictions(seen * 30)._repr_html_()


def test_tables_and_results_are_tables_in_a_notebook(
    model: verydeep.Classifier, pictures: Path
) -> None:
    result = verydeep.evaluate(model, pictures)
    assert f"{result.top1_error:.2f} %" in result._repr_html_()
    table = verydeep.evaluate_all(model, pictures)
    assert table._repr_html_().count("<tr>") == len(table.rows) + 1
    odd = replace(verydeep.read_dataset(pictures), classes=(EVIL, "b", "c"))
    assert EVIL not in odd._repr_html_()


def test_a_wrong_keyword_of_vgg_is_told_what_was_meant() -> None:
    for keyword, meant in {
        "num_class": "'num_classes'",
        "n_classes": "'num_classes'",
        "bn": "'batch_norm'",
        "img_size": "'input_size'",
        "pretrained": "torchvision/vgg16",
        "weights": "torchvision/vgg16",
    }.items():
        with pytest.raises(TypeError, match=keyword) as raised:
            verydeep.vgg("A", **{keyword: 1})
        assert meant in str(raised.value)
    with pytest.raises(TypeError, match="did you mean 'num_classes'"):
        verydeep.vgg("A", **{"classes": 4})


@pytest.mark.parametrize(
    ("name", "net", "norm"),
    [
        ("vgg16", "D", None),
        ("VGG-16", "D", None),
        ("vgg16_bn", "D", "batch"),
        ("D-bn", "D", "batch"),
        (16, "D", None),
        ("vgg_19", "E", None),
        ("VGG11", "A", None),
        ("vgg13-BN", "B", "batch"),
        ("a_lrn", "A-LRN", None),
    ],
)
def test_nets_are_known_by_other_names(name: str | int, net: str, norm: str | None) -> None:
    small = {"input_size": 32, "width": 1 / 64, "hidden": 64}
    made = verydeep.vgg(name, num_classes=3, **small)
    assert (made.name, made.batch_norm, made.num_classes) == (net, norm == "batch", 3)
    torch.manual_seed(0)
    again = verydeep.vgg(net, num_classes=3, batch_norm=norm == "batch", **small)
    assert [*made.state_dict()] == [*again.state_dict()]
    chosen = verydeep.load_recipe("paper", {"net.name": name})
    assert (chosen.net.name, chosen.net.norm) == (net, norm)


@pytest.mark.parametrize("name", ["vgg", "vgg17", "resnet50", "", "vgg16_gn", True])
def test_a_net_that_is_none_is_told_which_there_are(name: object) -> None:
    with pytest.raises(verydeep.VeryDeepError, match=r"vgg16 D"):
        verydeep.vgg(name)
    with pytest.raises(verydeep.VeryDeepError, match=r"net\.name"):
        verydeep.load_recipe("paper", {"net.name": name})

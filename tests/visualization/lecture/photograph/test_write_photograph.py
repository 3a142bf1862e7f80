"""Figures of a photograph as files and as a command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photographed import narrow_subject
from PIL import Image
from tiny import Outcome, strict_json

from verydeep.errors import InputError, MissingExtra, ModelError, PictureError
from verydeep.inspection.channel_model import CHANNEL_ASCENT
from verydeep.inspection.class_model import USUAL_ASCENT
from verydeep.run.photograph_figures import photograph_subject
from verydeep.visualization.lecture.photograph import channels, classes
from verydeep.visualization.lecture.photograph.figures import PHOTOGRAPH_FIGURES
from verydeep.visualization.lecture.write import reduce_colours, write_figures

Program = Callable[..., Outcome]
ALL = [figure.name for figure in PHOTOGRAPH_FIGURES]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every ascent short."""
    monkeypatch.setattr(channels, "CHANNELS", 1)
    for module, name, ascent in (
        (channels.channel_examples, "channel_examples", replace(CHANNEL_ASCENT, steps=1)),
        (classes.class_evidence, "class_evidence", replace(USUAL_ASCENT, steps=1)),
    ):
        home = channels if name == "channel_examples" else classes
        monkeypatch.setattr(home, name, lambda subject, f=module, a=ascent: f(subject, a))


@pytest.mark.slow
def test_all_figures_are_written_with_their_words(tmp_path: Path) -> None:
    pytest.importorskip("captum")
    subject = narrow_subject()
    value = write_figures(tmp_path, subject=subject)
    assert [figure["name"] for figure in value["figures"]] == ALL
    assert value["left_out"] == {}
    for figure in value["figures"]:
        with Image.open(tmp_path / f"{figure['name']}.png") as image:
            assert image.mode == "P"
            assert 1000 <= image.width <= 2000
            assert image.info["Title"] == figure["title"]
            assert image.info["Description"] == figure["alt"]
    alts = {figure["name"]: figure["alt"] for figure in value["figures"]}
    assert subject.title in alts["photo-classes"]
    # A page of another call keeps them, with their words.
    write_figures(tmp_path, ["stacks"])
    listed = json.loads((tmp_path / "figures.json").read_text("utf-8"))["figures"]
    assert [figure["name"] for figure in listed] == ["stacks", *ALL]
    assert {figure["name"]: figure["alt"] for figure in listed[1:]} == alts


def test_a_net_without_a_head_has_no_figure_of_classes(tmp_path: Path) -> None:
    subject = narrow_subject(classes=0, size=(48, 64))
    with pytest.raises(ModelError, match="no fully connected layers"):
        write_figures(tmp_path, ["photo-classes"], subject=subject)


def test_a_net_with_other_blocks_has_no_figures_of_them(tmp_path: Path) -> None:
    subject = narrow_subject("googlenet", size=(48, 64))
    for name in ("photo-maps", "photo-channels", "photo-fields"):
        with pytest.raises(ModelError, match="the blocks of the paper's nets, not of net google"):
            write_figures(tmp_path, [name], subject=subject)
    value = write_figures(tmp_path, ["photo-filters"], subject=subject)
    assert "filters of conv1 as 7x7 coloured cells" in value["figures"][0]["alt"]


def test_class_names_are_no_formulas(tmp_path: Path) -> None:
    pytest.importorskip("captum")
    subject = narrow_subject(size=(48, 64))
    model = replace(subject.model, titles=dict.fromkeys(subject.model.classes, "$\\frac$"))
    write_figures(tmp_path, ["photo-classes"], subject=replace(subject, model=model))


@pytest.mark.slow
def test_what_a_net_or_machine_lacks_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = write_figures(tmp_path / "one", subject=narrow_subject(classes=0))
    assert [figure["name"] for figure in value["figures"]] == ALL[:-1]
    assert "recipe transfer" in value["left_out"]["photo-classes"]
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtra, match="insight"):
        write_figures(tmp_path / "two", ["photo-classes"], subject=narrow_subject(size=(48, 64)))


@pytest.mark.parametrize(
    ("only", "net", "words"),
    [
        (["photo-maps"], False, "the figure photo-maps shows a trained net: name one with model="),
        (["loss"], True, "the figure loss needs no net: draw it without model="),
        (["photo-map"], True, r"unknown figure 'photo-map'.*did you mean 'photo-maps'\?"),
    ],
)
def test_figures_of_the_other_kind_are_refused(
    tmp_path: Path, only: list[str], net: bool, words: str
) -> None:
    subject = narrow_subject(size=(48, 64)) if net else None
    with pytest.raises(InputError, match=words):
        write_figures(tmp_path / "x", only, subject=subject)
    assert not (tmp_path / "x").exists()


def test_the_photograph_is_rescaled_whatever_the_scales_of_the_net_are(tmp_path: Path) -> None:
    model = narrow_subject().model
    assert photograph_subject(model).pixels.shape == (3, 256, 384)  # china.jpg is 640x427
    Image.fromarray(np.zeros((90, 60, 3), np.uint8)).save(tmp_path / "a.png")
    found = photograph_subject(model, tmp_path / "a.png", "dog")
    assert (tuple(found.pixels.shape), found.title) == ((3, 384, 256), "dog")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    with pytest.raises(InputError, match="image= must be one image, got 2 instead"):
        photograph_subject(model, tmp_path)
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(PictureError, match=r"b\.png"):
        photograph_subject(model, tmp_path / "b.png")


def test_a_palette_keeps_colours_and_words(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    y, x = np.mgrid[:96, :128]
    smooth = np.stack([x * 2, y * 2, 255 - x - y // 2], 2).clip(0, 255).astype(np.uint8)
    texts = PngInfo()
    texts.add_text("Title", "a – b")
    Image.fromarray(smooth).save(tmp_path / "a.png", pnginfo=texts, dpi=(150, 150))
    reduce_colours(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert image.info["Title"] == "a – b"
        assert round(image.info["dpi"][0]) == 150
        near = np.abs(np.asarray(image.convert("RGB")).astype(int) - smooth).mean()
    assert near < 8
    with Image.open(tmp_path / "a.png") as image:
        assert image.convert("RGB").getpixel((0, 0)) == tuple(smooth[0, 0])


def test_options_of_the_command_belong_to_a_net(tmp_path: Path, verydeep: Program) -> None:
    for option in ("--image", "--label", "--device"):
        outcome = verydeep("figures", "--out", tmp_path / "x", option, "cpu")
        assert outcome.code == 2
        assert f"{option} is for the figures of a net: name it with --model" in outcome.err
    outcome = verydeep("figures", "--out", tmp_path / "x", "--model", tmp_path / "nothing")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_the_command_draws_a_model(tmp_path: Path, verydeep: Program, trained_run: Path) -> None:
    words = ("--model", trained_run, "--only", "photo-maps", "--only", "photo-filters", "--json")
    outcome = verydeep("figures", "--out", tmp_path, *words, "--dark")
    assert (outcome.code, outcome.err) == (0, "")
    value = strict_json(outcome.out)
    assert [figure["name"] for figure in value["figures"]] == ["photo-filters", "photo-maps"]
    for file in value["files"]:
        assert (tmp_path / file).is_file()

"""Weights of GoogLeNet and SENet-154: the scores of torchvision and timm, on random weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import verydeep
from verydeep.errors import InputError, ModelError
from verydeep.models.classifier import imported_classifier
from verydeep.models.weights.imported import import_file
from verydeep.models.weights.named import find_published, source_config
from verydeep.run.import_weights import import_weights
from verydeep.system.settings import Compute

EXACT = Compute("cpu", "fp32")


def randomize(net: nn.Module) -> nn.Module:
    """Give every weight and statistic a value of its own, of a size that keeps scores moderate."""
    generator = torch.Generator().manual_seed(0)
    for name, values in net.state_dict().items():
        if name.endswith("running_var"):
            values.uniform_(0.5, 1.5, generator=generator)
        elif values.dim() > 1:
            values.normal_(0, (2 / values[0].numel()) ** 0.5, generator=generator)
        elif values.is_floating_point():
            # Small in the last normalisation of a residual block: fifty blocks add up.
            usual = 0.1 if ".bn3." in name else 1.0
            shift = usual if name.endswith("weight") else 0.0
            values.normal_(shift, 0.05, generator=generator)
    return net.eval()


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    models = pytest.importorskip("torchvision.models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = models.googlenet(
            weights=None, init_weights=False, transform_input=True, num_classes=12
        )
    return randomize(made)


@pytest.fixture(scope="module")
def file(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("googlenet") / "googlenet.pth"
    torch.save(theirs.state_dict(), path)
    return path


def pixels(size: int = 224) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, 3, size, size), generator=generator, dtype=torch.uint8)


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def as_read(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in IMAGENET)
    return (images / 255 - mean) / std


def test_googlenet_of_torchvision_has_its_scores(theirs: nn.Module, file: Path) -> None:
    model = imported_classifier(import_file(file), EXACT)
    with torch.no_grad():
        wanted = theirs(as_read(pixels()))
    torch.testing.assert_close(model.score_map(pixels())[..., 0, 0], wanted, atol=1e-4, rtol=1e-4)


def test_the_report_names_what_is_left_out_and_taken_for_granted(file: Path) -> None:
    imported = import_file(file)
    report = "\n".join(imported.lines())
    assert "net googlenet, batch normalisation, 12 classes" in report
    assert "inception3a.one.conv: copied from inception3a.branch1.conv" in report
    assert "aux1.fc1 (1,024x2,048): left out, an auxiliary head, which is for training" in report
    assert "mean: 127.5, 127.5, 127.5 (torchvision's pretrained GoogLeNet converts" in report


def test_it_is_compared_with_torchvision_on_images(file: Path, tmp_path: Path) -> None:
    Image.fromarray(pixels(260)[0].permute(1, 2, 0).numpy()).save(tmp_path / "noise.png")
    result = import_weights(file, verify=[tmp_path / "noise.png"], compute=EXACT)
    assert result.compared[0].same_class
    assert result.compared[0].difference < 1e-4


def test_a_model_folder_keeps_it(file: Path, tmp_path: Path) -> None:
    model = imported_classifier(import_file(file), "cpu")
    model.save(tmp_path / "model")
    again = verydeep.load(tmp_path / "model", "cpu")
    torch.testing.assert_close(again.score_map(pixels()), model.score_map(pixels()))
    assert "Szegedy et al. (2014)" in (tmp_path / "model" / "README.md").read_text()


def test_a_missing_layer_is_named(theirs: nn.Module, tmp_path: Path) -> None:
    state = {k: v for k, v in theirs.state_dict().items() if "5b.branch4" not in k}
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(ModelError, match=r"has no layer inception5b.branch4.1.conv of net google"):
        import_file(tmp_path / "g.pth")


@pytest.mark.slow
def test_senet154_of_timm_has_its_scores(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    theirs = randomize(timm.create_model("legacy_senet154", num_classes=7))
    save_file(theirs.state_dict(), tmp_path / "senet.safetensors")
    model = imported_classifier(import_file(tmp_path / "senet.safetensors"), EXACT)
    with torch.no_grad():
        wanted = theirs(as_read(pixels()))
    found = model.score_map(pixels())[..., 0, 0]
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


def test_published_weights_are_known_by_name() -> None:
    known = find_published("timm/legacy_senet154.in1k")
    assert (known.net, known.top1_error, known.top5_error) == ("senet154", 18.68, 4.47)
    config = source_config("torchvision/googlenet")
    assert config.preprocessing.mean == (127.5, 127.5, 127.5)
    assert config.net.auxiliary is False


def test_normalisations_that_were_folded_are_missed(theirs: nn.Module, tmp_path: Path) -> None:
    state = {k: v for k, v in theirs.state_dict().items() if "4a.branch1.bn" not in k}
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(ModelError, match=r"inception4a.branch1.conv must have a batch norm"):
        import_file(tmp_path / "g.pth")


@pytest.mark.parametrize("layer", ["fc.weight", "inception4a.branch1.conv.weight"])
def test_numbers_that_are_not_finite_are_refused(
    theirs: nn.Module, layer: str, tmp_path: Path
) -> None:
    state = theirs.state_dict()
    torch.save(state | {layer: torch.full_like(state[layer], torch.nan)}, tmp_path / "g.pth")
    with pytest.raises(ModelError, match="numbers NaN or infinite"):
        import_file(tmp_path / "g.pth")


def test_a_head_of_another_width_is_refused(theirs: nn.Module, tmp_path: Path) -> None:
    torch.save(theirs.state_dict() | {"fc.weight": torch.zeros(12, 512)}, tmp_path / "g.pth")
    with pytest.raises(ModelError, match=r"fc \(12x512\) must read 1,024 numbers"):
        import_file(tmp_path / "g.pth")


def test_two_classes_of_one_name_are_refused(file: Path) -> None:
    with pytest.raises(InputError, match="two classes are called 'a'"):
        import_weights(file, classes=["a"] * 12)


@pytest.mark.parametrize("resize", [-5, 20_000])
def test_a_size_of_images_out_of_bounds_is_refused(file: Path, resize: int) -> None:
    with pytest.raises(InputError, match=f"resize must be from 1 to 16,384 pixels, got {resize}"):
        import_weights(file, resize=resize)

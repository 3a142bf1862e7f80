"""Names of a recipe's settings in other libraries.

A message about an unknown key suggests the right one, or explains why there is none.
"""

from __future__ import annotations

KEYS = {
    "lr": "training.learning_rate",
    "lr0": "training.learning_rate",
    "base_lr": "training.learning_rate",
    "max_lr": "training.learning_rate",
    "bs": "training.batch",
    "batch_size": "training.batch",
    "train_batch_size": "training.batch",
    "per_device_train_batch_size": "training.batch",
    "accumulate": "training.micro_batch",
    "gradient_accumulation_steps": "training.micro_batch",
    "opt": "training.optimizer",
    "criterion": "training.loss",
    "wd": "training.weight_decay",
    "l2": "training.weight_decay",
    "epoch": "training.epochs",
    "max_epochs": "training.epochs",
    "num_epochs": "training.epochs",
    "num_train_epochs": "training.epochs",
    "n_epochs": "training.epochs",
    "scheduler": "training.schedule",
    "lr_scheduler": "training.schedule",
    "sched": "training.schedule",
    "warmup_epochs": "training.warmup",
    "warmup_ratio": "training.warmup",
    "smoothing": "training.label_smoothing",
    "amp": "training.precision",
    "fp16": "training.precision",
    "bf16": "training.precision",
    "half": "training.precision",
    "dtype": "training.precision",
    "mixed_precision": "training.precision",
    "random_state": "training.seed",
    "gpu": "training.device",
    "gpus": "training.device",
    "accelerator": "training.device",
    "patience": "plateau.patience",
    "img_size": "net.input_size",
    "imgsz": "net.input_size",
    "image_size": "net.input_size",
    "input_shape": "net.input_size",
    "crop_size": "net.input_size",
    "model": "net.name",
    "model_name": "net.name",
    "arch": "net.name",
    "architecture": "net.name",
    "backbone": "net.name",
    "batch_norm": "net.norm",
    "batchnorm": "net.norm",
    "bn": "net.norm",
    "drop": "net.dropout",
    "drop_rate": "net.dropout",
    "width_mult": "net.width",
    "init": "initialize.scheme",
    "pretrained": "initialize.source",
    "weights": "initialize.source",
    "checkpoint": "initialize.source",
    "init_from": "initialize.source",
    "num_workers": "data.workers",
    "n_workers": "data.workers",
    "resize": "data.train_scale",
    "resize_size": "data.train_scale",
    "scale": "data.train_scale",
    "hflip": "data.flip",
    "fliplr": "data.flip",
    "color_jitter": "data.colour_shift",
    "colour_jitter": "data.colour_shift",
    "color_shift": "data.colour_shift",
    "class_weight": "data.balance",
    "class_weights": "data.balance",
    "std": "data.divisor",
    "val_split": "data.validation_share",
    "validation_split": "data.validation_share",
    "val_share": "data.validation_share",
    "test_split": "data.test_share",
    "tta": "test.protocol",
}
"""Key of a setting here, by its name elsewhere."""

WORDS = {
    "num_classes": "the number of classes follows from the data",
    "classes": "the number of classes follows from the data",
    "shuffle": "training images are always shuffled, by training.seed",
    "augment": "each augmentation has a setting of its own: data.crop, data.flip, "
    "data.colour_shift, data.train_scale",
    "nesterov": "the paper's momentum is the plain one; see training.momentum",
}
"""Reason why a setting does not exist here, by its name elsewhere."""


def other_word(key: str) -> str | None:
    """Return the hint after "unknown key" for another library's name; None for other names.

    >>> other_word("lr"), other_word("num_classes"), other_word("nonsense")
    ("; did you mean 'training.learning_rate'?", ': the number of classes follows from the data', \
None)
    """
    plain = key.lower().replace("-", "_")
    if plain in KEYS:
        return f"; did you mean {KEYS[plain]!r}?"
    return f": {WORDS[plain]}" if plain in WORDS else None

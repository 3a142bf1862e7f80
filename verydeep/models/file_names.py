"""Names of the files of a model folder."""

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"

FAMILIARITY = "familiarity.safetensors"
"""Features of training images, of a model that tells unlike images."""

INT8 = "int8.onnx"
"""Graph of a model's int8 variant, if it has one."""

INT8_RECORD = "int8.json"
"""What was measured of the int8 variant."""

"""Reader of weights of ONNX."""

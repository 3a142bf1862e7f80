"""Settings for every test."""

import torch

# The tests' tensors are small: handing them around between threads costs more than it saves, and
# several times as much on a busy machine.
torch.set_num_threads(1)

"""Training: learning-rate schedules, the loop and checkpoints."""

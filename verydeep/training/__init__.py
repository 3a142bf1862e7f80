"""The recipe at work: schedules, the loop, checkpoints."""

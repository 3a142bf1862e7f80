"""A training from data set and recipe to a tested model in a run folder."""

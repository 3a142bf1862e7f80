"""Training: from a data set and a recipe to a tested model in a run folder."""

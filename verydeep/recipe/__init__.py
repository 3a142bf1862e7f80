"""Every setting of a training, checked; the recipes that come with the package."""

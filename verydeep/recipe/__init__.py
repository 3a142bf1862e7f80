"""Settings of a training, validated; the recipes shipped with the package."""

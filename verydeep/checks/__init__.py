"""A data set looked over before hours are spent on it; nothing of it is ever changed."""

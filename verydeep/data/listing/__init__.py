"""Lists of images for bulk work, by location, wherever they lie."""

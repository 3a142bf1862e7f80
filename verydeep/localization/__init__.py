"""Where on an image the object is: boxes, nets that answer with them, merging, tests."""

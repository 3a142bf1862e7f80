"""Where on a picture the object is: boxes, nets that answer with them, merging, tests."""

"""Layouts of data sets on disk, one per file.

``recognise(path)`` inspects only names (and the first bytes of JSON files); ``read(path)`` lists
the images with their classes and boxes without opening any. :mod:`verydeep.data.registry` gives
the order of detection.
"""

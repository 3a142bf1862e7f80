"""How data sets lie on disk, one layout a file: each is recognised by looking, and read.

``recognise(path)`` looks at names alone (and at the first bytes of a JSON file); ``read(path)``
lists the images with their classes and boxes and opens none of them. The order in which layouts
are asked stands in :mod:`verydeep.data.registry`.
"""

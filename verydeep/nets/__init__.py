"""The six networks: Table 1 as data, the modules, their dense form, their beginnings, their sizes.

Nothing here reads or writes a file.
"""

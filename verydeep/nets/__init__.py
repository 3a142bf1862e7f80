"""The six networks: Table 1 as data, modules, dense form, initialisation and anatomy.

This package performs no file I/O.
"""

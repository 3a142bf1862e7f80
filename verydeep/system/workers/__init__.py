"""Child processes that make values for this one.

============  ===================================================================================
pool          workers that make values in turn
transport     values on their way between processes, large ones through shared memory
parent_watch  the end of a child together with its parent
failures      exceptions of other processes, and exit codes in words
============  ===================================================================================
"""

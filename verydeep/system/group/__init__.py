"""Groups of processes that train or test together.

=============  =================================================================================
membership     place of this process in a group, from torchrun's variables, Slurm's or ours
meeting        the store where the processes of a group find each other; their share of a machine
distributed    joining the group: sums, broadcasts and shares of the work
launch         a call in several processes of this machine, of which this one is the first
launched       the program of each of the others
peers          their ends, as the process that has started them sees them
watch          their ends, as seen over the network, whoever has started them
interrupt      the exception that ends a call from another thread
lost_process   what a lost process looks like in an error of torch
=============  =================================================================================

``peers`` knows exit codes and exceptions, but only of children on this machine. ``watch`` sees
processes on other machines and of other launchers, but not why they have ended.
"""

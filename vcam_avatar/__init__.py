"""Avatar Cam: a voice in, a living avatar out.

Importing the package touches no hardware, file or network.
"""

__version__ = "0.1.0"

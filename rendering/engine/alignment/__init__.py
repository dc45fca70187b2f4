"""The ``face-alignment`` package's networks as a tracker for machines with a graphics card.

Zhang et al., "S3FD: Single Shot Scale-invariant Face Detector", ICCV 2017, finds faces; Bulat and Tzimiropoulos, "How
far are we from solving the 2D & 3D Face Alignment problem?", ICCV 2017, reads 68 landmarks. Nothing here loads torch
until footage is followed or weights are looked into.
"""

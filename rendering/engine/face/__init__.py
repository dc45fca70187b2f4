"""The face: found, followed, described, chosen and put back. Arrays and frames in, arrays and frames out."""

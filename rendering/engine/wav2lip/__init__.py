"""The Wav2Lip architecture as a back end, with a checkpoint that the operator supplies.

Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip Generation In the Wild", ACM Multimedia 2020.
Nothing here loads torch until a mouth is drawn or a checkpoint is looked into.
"""

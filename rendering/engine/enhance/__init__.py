"""A face-restoration model of the operator's, laid over the mouths that a network has drawn.

Nothing here loads torch until a mouth is enhanced or a model is looked into.
"""

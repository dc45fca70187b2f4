"""A small network that draws every mouth the plan asks for, trained on the presenter's own footage.

``crops`` says what it sees, ``footage`` collects that from a film, ``net`` and ``losses`` are the network, ``train``
teaches it, ``gate`` decides whether it may be used, ``draw`` lays its mouths into frames. Only ``net``, ``losses``,
``train`` and ``draw`` load torch; nothing outside this room does so for it.
"""

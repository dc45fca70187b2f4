"""The lip-sync engine: files in, files out.

``prepare`` looks at footage once and leaves everything it learned in a folder; ``render`` makes one video from
(footage, take, options). The package knows nothing of Django, teams or the database, and importing it is cheap:
torch, OpenCV and friends are loaded by the stages that need them.
"""

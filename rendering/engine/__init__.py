"""The lip-sync engine: files in, files out.

``prepare`` looks at footage once and leaves everything it learned in a folder; ``render`` makes one video from
(footage, take, options). The package knows nothing of Django, teams or the database, and importing it is cheap:
torch, OpenCV and friends are loaded by the stages that need them.
"""

import os

# Its matrices are small and its stages run beside one another: threads that share out one product only wait for each
# other, at a twentieth of a render's CPU time. Read when numpy is first imported; what the operator sets stands.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

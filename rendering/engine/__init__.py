"""The lip-sync engine: files in, files out.

``prepare`` looks at footage once and leaves everything it learned in a folder; ``render`` makes one video from
(footage, take, options). The package knows nothing of Django, teams or the database, and importing it is cheap:
torch, OpenCV and friends are loaded by the stages that need them.
"""

import os

# Its matrices are small and its stages run beside one another: threads that share out one product only wait for each
# other, at a twentieth of a render's CPU time. Read when numpy is first imported; what the operator sets stands.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The pictures that are worked on are small, too. A thread of OpenCV that has done its share looks for more two thousand
# times, giving way each time, before it sleeps: beside an encoder that was a tenth of what drawing a mouth takes.
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
# A thread of torch that has done its share waits asleep. On cores that others use, too, spinning for one that does not
# run is nearly all there is: a learning step of .6 s took 13 on two such cores. On idle ones it is .17 instead of .13.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

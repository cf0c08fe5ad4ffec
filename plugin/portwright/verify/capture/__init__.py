"""Capture the reference's answers as a golden directory. The torch side: runs in a worker process only.

`python -m portwright.verify.capture JOB.json`; the job is described in `stage.py`.
"""

import os

# Before torch is imported: its threads sleep while they wait. Spinning, as they do by default, costs an idle machine
# nothing, and made a capture beside other work take 2.4 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""Capture the reference's answers as a golden directory. The torch side: runs in a worker process only.

`python -m portwright.verify.capture JOB.json`; the job is described in `stage.py`.
"""

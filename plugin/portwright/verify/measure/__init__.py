"""Measure a port against a golden. The MLX side: runs in a worker process only, and needs no torch.

`python -m portwright.verify.measure JOB.json`; the job is described in `stage.py`.
"""

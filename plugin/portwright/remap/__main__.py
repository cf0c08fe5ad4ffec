"""`python -m portwright.remap JOB.json`: run one remap job as a worker."""

from ..workers import worker_main
from .worker import run

if __name__ == "__main__":
    worker_main(run)

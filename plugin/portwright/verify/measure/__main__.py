"""The measure worker."""

from portwright.verify.measure.stage import run
from portwright.workers import worker_main

if __name__ == "__main__":
    worker_main(run)

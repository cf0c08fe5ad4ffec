"""The capture worker."""

from portwright.verify.capture.stage import run
from portwright.workers import worker_main

if __name__ == "__main__":
    worker_main(run)

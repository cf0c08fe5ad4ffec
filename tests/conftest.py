"""Its presence puts tests/ on the import path, so that tests share what lies in tests/support."""

import signal

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: the tests that send it could not.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

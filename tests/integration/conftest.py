"""Put `support`, the stand-ins for real machines, and the auditor onto the path of every integration test."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared")]

# What a script starts in the background has the interrupt ignored, and would hand that on to all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Whoever ends the run gets all that it started ended too, as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)

"""The auditor of the invariants of the faults: it judges a recorded run, and takes nobody's word for it.

It imports nothing of the product: keys and records are read here by their plain names and as JSON.

    violations = audit(trace)                       # a Trace: see kit.audit.trace; recorders make them
    PYTHONPATH=tests python -m kit.audit TRACE   # one that was kept by write_trace
"""

from __future__ import annotations

from kit.audit.judgement import INVARIANTS, audit, unjudged
from kit.audit.keeping import read_trace, write_trace
from kit.audit.trace import Cluster, Trace, make_trace
from kit.audit.violation import Violation

__all__ = [
    "INVARIANTS",
    "Cluster",
    "Trace",
    "Violation",
    "audit",
    "make_trace",
    "read_trace",
    "unjudged",
    "write_trace",
]

"""Judge a kept trace again: `PYTHONPATH=tests python -m kit.audit TRACE.jsonl`.

One line per violation; exit 0 where there is none, 1 where there are, 2 where the file is no trace.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kit.audit.judgement import audit, unjudged
from kit.audit.keeping import read_trace


def main(arguments: Sequence[str]) -> int:
    """Judge the trace in the file."""
    if len(arguments) != 1:
        print("usage: python -m kit.audit TRACE.jsonl", file=sys.stderr)
        return 2
    try:
        trace = read_trace(Path(arguments[0]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"{arguments[0]} is no trace: {error}", file=sys.stderr)
        return 2
    for name, lacking in unjudged(trace).items():
        print(f"{name} is not judged whole: {', '.join(sorted(lacking))} not recorded", file=sys.stderr)
    violations = audit(trace)
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

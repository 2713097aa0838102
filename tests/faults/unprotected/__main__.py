"""python -m faults.unprotected: take the product's protections away, one by one, and demand that their tests fail."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from faults.unprotected.proof import FAST_LIMIT_S, PROCESS_LIMIT_S, Finding, prove, run
from faults.unprotected.removal import Removal
from faults.unprotected.table import REMOVALS

# So many tests end within the limit of one, where nothing is taken away.
TOGETHER = 20


def main() -> int:
    """Run what was asked for; 1 where a test does not fail without its protection, or fails with it."""
    asked = _arguments()
    chosen = [
        removal
        for removal in REMOVALS
        if (asked.process or not removal.process) and (not asked.fault or set(asked.fault) & set(removal.faults))
    ]
    if asked.only_process:
        chosen = [removal for removal in chosen if removal.process]
    wrong = _whole_product(chosen)
    print(f"{'fault':8}{'protection':64}test", flush=True)
    for removal in chosen:
        for finding in prove(removal):
            wrong += not finding.proved
            print(_row(finding), flush=True)
    count = sum(len(removal.tests) for removal in chosen)
    print(f"{len(chosen)} protections taken away, {count} tests run without them, {wrong} wrong")
    return 1 if wrong or not chosen else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="unprotected", description=__doc__)
    parser.add_argument("--fault", type=int, action="append", help="only this row of the faults' table")
    parser.add_argument("--process", action="store_true", help="also the proofs with real processes; a minute each")
    parser.add_argument("--only-process", action="store_true", help="only those, with --process")
    return parser.parse_args()


def _whole_product(chosen: Sequence[Removal]) -> int:
    """Run all their tests on the product as it is, and return how many do not pass."""
    wrong = 0
    for process, limit_s in ((False, FAST_LIMIT_S), (True, PROCESS_LIMIT_S)):
        tests = sorted({test for removal in chosen if removal.process is process for test in removal.tests})
        if not tests:
            continue
        print(f"{len(tests)} tests on the product as it is ...", file=sys.stderr, flush=True)
        outcomes = run(tests, (), limit_s * (1 + len(tests) // TOGETHER))
        missing = set(tests) - {outcome.without_parameters for outcome in outcomes}
        for name, why in [*((o.test, o.why) for o in outcomes if o.result != "passed"), *((m, "") for m in missing)]:
            print(f"does not pass on the product as it is: {name} {why}")
            wrong += 1
    return wrong


def _row(finding: Finding) -> str:
    rows = ",".join(map(str, finding.removal.faults))
    end = "fails without it" if finding.proved else f"WRONG: {finding.why}"
    reason = f" ({finding.why})" if finding.proved else ""
    return f"{rows:8}{finding.removal.words:64}{finding.test.rpartition('/')[2]}: {end}{reason}"


if __name__ == "__main__":
    sys.exit(main())

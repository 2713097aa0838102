"""python -m soak: mix faults at random over a whole cloud for so many minutes, and audit it after each round."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from soak.audit import Violation
from soak.cloud import SoakCloud
from soak.draw import rounds
from soak.rounds import RoundRun
from soak.story import Story
from soak.summary import Summary

ROOT = Path(__file__).parents[2]


# What a round that is begun at the last moment may take, on a machine that is very busy.
LAST_ROUND_S = 1500
FOLDER = ROOT / ".cache" / "soak"


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 0 where nothing was violated and something was recovered, 1 else."""
    options = _options(argv)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _leave)
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(int(60 * options.minutes) + LAST_ROUND_S)
    story, summary = Story(FOLDER / f"{options.seed}.log"), Summary(options.seed)
    story.tell(f"seed {options.seed}, {options.minutes:g} minutes; again: {_again(options)}")
    began = time.monotonic()
    try:
        _soak(options, story, summary)
    finally:
        print(f"\n{summary.table((time.monotonic() - began) / 60)}", flush=True)
    if not summary.recoveries:
        print("no recovery was completed: nothing was tested", file=sys.stderr)
    return 0 if summary.recoveries and not summary.violations else 1


def _soak(options: argparse.Namespace, story: Story, summary: Summary) -> None:
    with SoakCloud() as cloud:
        cloud.seen_well(*cloud.machines.values())
        round_run = RoundRun(cloud, story, summary)
        until = time.monotonic() + 60 * options.minutes
        for drawn in rounds(options.seed, options.first):
            if time.monotonic() > until or drawn.number >= options.first + options.rounds:
                return
            try:
                round_run.run(drawn)
            except Exception as error:
                _violated(cloud, round_run, summary, error)
                return


def _violated(cloud: SoakCloud, round_run: RoundRun, summary: Summary, error: Exception) -> None:
    """Tell the story of the round, and keep what there is to see."""
    summary.violations += 1
    story, kept = round_run.story, FOLDER / f"{summary.seed}-round-{round_run.drawn.number}"
    if not isinstance(error, Violation):
        story.tell("".join(traceback.format_exception(error)))
    story.tell(f"VIOLATION in round {round_run.drawn.number} of seed {summary.seed}:\n{error}")
    cloud.keep(kept)
    told = [cloud.story(cloud.machines[name]) for name in round_run.monitor.concerned]
    (kept / "story").write_text("\n".join([*story.round_lines, *told, ""]))
    print("\n\n".join(told), flush=True)
    story.tell(f"all there is to see is in {kept}")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no round after so many")
    parser.add_argument("--seed", default="", help="any word; a random one is drawn and printed without it")
    parser.add_argument("--first", type=int, default=1, metavar="ROUND", help="begin with this round of the seed")
    parser.add_argument("--rounds", type=int, default=10**9, help="at most so many")
    options = parser.parse_args(argv)
    options.seed = options.seed or str(random.SystemRandom().randrange(10**6))
    return options


def _again(options: argparse.Namespace) -> str:
    return f"make soak MINUTES={options.minutes:g} SEED={options.seed}"


def _hangs(number: int, _: FrameType | None) -> None:
    raise Violation(f"the last round has not ended for {LAST_ROUND_S} s: the soak itself hangs")


def _leave(number: int, _: FrameType | None) -> None:
    for other in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())

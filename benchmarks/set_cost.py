"""Compare what sets are said to cost, before they are built, with what they cost.

    python benchmarks/set_cost.py

Prints bound and number of structures, and estimated and measured seconds of one core. The constants
of `alloy/sets/cost.py` are fitted to this table.
"""

from __future__ import annotations

import time

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets import parse

LAYER = Alloy(("Mo", "Ta", "Nb", "W", "V"))
BULK = Alloy(("Mo", "Ta", "Nb", "W", "V"), "bcc", None)
SETS = {
    LAYER.prototype: (
        *("1(12)", "2(8)[Mo,W]", "2(10)[Mo,W]", "5(6)", "model-16", "E(12)[Mo,W]", "database-1"),
        *("random(4x4, n=50)", "random(3x3, n=20, components=2)[Mo,W]", "random(20x20, n=1)"),
        *("sqs(4x4, components=2)[Mo,W]", "sqs(10x10)", "sqs(20x20, steps=100)", "sqs(8)[Mo,W]"),
        "anneal(model-4, 50%, steps=2000)",
    ),
    BULK.prototype: (
        *("1(8)", "2(6)[Mo,W]", "2(8)[Mo,W]", "E(8)[Mo,W]", "random(3x3x3, n=5)"),
        *("sqs(3x3x3, components=3)[Mo,W,V]", "sqs(4)[Mo,W]"),
    ),
}


def main() -> None:
    """Build every set and print a line."""
    print("host     set                                    structures       seconds    ratio")
    for alloy in (LAYER, BULK):
        for text in SETS[alloy.prototype]:
            expression = parse(text)
            cost = expression.cost(alloy)
            start = time.process_time()
            built = len(expression.build(alloy, most=None))
            seconds = time.process_time() - start
            print(
                f"{alloy.prototype:8} {text:36} {cost.structures:6} {built:6} "
                f"{cost.seconds:8.2f} {seconds:7.2f} {cost.seconds / seconds:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

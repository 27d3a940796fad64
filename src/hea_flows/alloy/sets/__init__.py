"""Sets of structures: their notation, enumeration, random cells, SQS, annealed selection."""

from __future__ import annotations

from hea_flows.alloy.sets.cost import SetCost
from hea_flows.alloy.sets.listed import find_card, listing, located_set
from hea_flows.alloy.sets.named import (
    load_named_sets,
    named_sets_path,
    parse,
    set_name,
    set_summary,
)
from hea_flows.alloy.sets.random_structures import (
    check_random,
    random_orderings,
    supercell_matrix,
)
from hea_flows.alloy.sets.shares import exactly
from hea_flows.alloy.sets.sqs import check_sqs, sqs_objective

__all__ = [
    "SetCost",
    "check_random",
    "check_sqs",
    "exactly",
    "find_card",
    "listing",
    "load_named_sets",
    "located_set",
    "named_sets_path",
    "parse",
    "random_orderings",
    "set_name",
    "set_summary",
    "sqs_objective",
    "supercell_matrix",
]

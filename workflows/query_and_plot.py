"""Read benchmarks from the database in three ways, and draw one of the report's figures.

python workflows/query_and_plot.py quickstart --output parity.svg
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hea_flows import find_connection
from hea_flows.results.figures import parity
from hea_flows.results.store import CampaignDocuments, documents


def main(
    campaign: Annotated[str, typer.Argument(help="Name of a campaign in the database.")],
    output: Annotated[Path, typer.Option(help="Figure; .png, .svg or .pdf.")] = Path("parity.png"),
) -> None:
    """Print the errors of all benchmarks of a campaign and draw its parity figure."""
    connection = find_connection(start_local=True)
    store = connection.job_store()
    documents_store: Any = store.docs_store
    query = {"output.kind": "benchmark", "output.campaign": campaign}

    # pymongo: plain dictionaries. A job's document is under `output`, its name beside it.
    collection = connection.database()[documents_store.collection_name]
    for row in collection.find(query, {"output.role": 1, "output.tables": 1}):
        show("pymongo", row)

    with store:
        # maggma: the same query through jobflow's store, which can also load the big fields.
        for row in store.query(query, properties=["output.role", "output.tables"]):
            show("maggma", row)
        # hea-flows: documents with types, each job's newest run only.
        inputs = CampaignDocuments.from_documents(documents(store, "benchmark", campaign))

    figure = parity(inputs.benchmark("foundation"), inputs.benchmark("fine-tuned"), "fixed")
    figure.savefig(output, dpi=150)
    print(f"written: {output}")


def show(source: str, row: dict[str, Any]) -> None:
    """Print the errors of one benchmark."""
    for table in row["output"]["tables"]:
        print(
            f"{source}: {row['output']['role']}, {table['test_set']}, {table['geometry']}: "
            f"mixing MAE {table['mixing_mae_mev']:.6f} meV/unit, n = {table['n']}"
        )


if __name__ == "__main__":
    typer.run(main)

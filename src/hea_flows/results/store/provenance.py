"""Trace any document back to its campaign file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobflow import JobStore
from rich.markup import escape
from rich.tree import Tree

from hea_flows.results.store.query import get_document, get_documents
from hea_flows.schemas import Document, LabelDoc, UnreadableDocumentError

#: More documents of one role than this are shown as one line.
MANY = 6


@dataclass
class Node:
    """A document and what it was made from.

    Parameters
    ----------
    uuid
        Of the job that wrote it.
    document
        The document, without its fields in the data store; None if it is missing.
    sources
        Role to the documents of that role; one object per document however often it is used.
    note
        Why there is no document, or why its sources are not followed.
    """

    uuid: str
    document: Document | None = None
    sources: dict[str, list[Node]] = field(default_factory=dict)
    note: str = ""

    @property
    def kind(self) -> str:
        """Kind of the document, or ``missing``."""
        return self.document.kind if self.document else "missing"

    def all_nodes(self) -> Iterator[Node]:
        """Yield this node and all under it, each once."""
        seen, queue = {id(self)}, [self]
        while queue:
            node = queue.pop(0)
            yield node
            for child in (c for nodes in node.sources.values() for c in nodes):
                if id(child) not in seen:
                    seen.add(id(child))
                    queue.append(child)

    @property
    def missing(self) -> list[str]:
        """Uuids under this node that no document has."""
        return [n.uuid for n in self.all_nodes() if n.document is None]

    @property
    def campaigns(self) -> list[Node]:
        """Campaign files under this node: one, if the chain is complete."""
        return [n for n in self.all_nodes() if n.kind == "campaign"]


def trace(store: JobStore, uuid: str) -> Node:
    """Follow a document's sources down to the campaign file.

    Parameters
    ----------
    store
        A connected store.
    uuid
        uuid of the document, or its unique beginning.

    Raises
    ------
    NotFoundError
        If the document itself is unknown. A source that is missing is a node without a document.
    """
    top = get_document(store, uuid)
    documents: dict[str, Document] = {top.uuid: top}
    asked, generation = {top.uuid}, [top]
    unreadable: list[UnreadableDocumentError] = []
    while generation:  # one query each, however many labels there are
        wanted = sorted({u for d in generation for us in d.sources.values() for u in us} - asked)
        asked |= set(wanted)
        sources = get_documents(store, wanted, unreadable=unreadable) if wanted else {}
        documents |= sources
        generation = list(sources.values())
    nodes = {error.uuid: Node(error.uuid, note=str(error)) for error in unreadable}
    return _node(top.uuid, documents, nodes, ())


def _node(
    uuid: str, documents: dict[str, Document], nodes: dict[str, Node], path: tuple[str, ...]
) -> Node:
    if uuid in path:
        return Node(uuid, documents[uuid], note="a document among its own sources; not followed")
    if uuid in nodes:
        return nodes[uuid]
    if uuid not in documents:
        nodes[uuid] = Node(uuid, note="missing: no such document in this store")
        return nodes[uuid]
    document = documents[uuid]
    nodes[uuid] = Node(uuid, document)
    nodes[uuid].sources = {
        role: [_node(u, documents, nodes, (*path, uuid)) for u in uuids]
        for role, uuids in document.sources.items()
    }
    return nodes[uuid]


def render_tree(node: Node) -> Tree:
    """Return a tree for the terminal; what was shown once is referred to afterwards."""
    tree = Tree(_line(node, ""))
    _grow(tree, node, {node.uuid})
    return tree


def _line(node: Node, role: str) -> str:
    head = f"[dim]{escape(role)}:[/] " if role else ""
    if node.document is None:
        return f"{head}[bold red]missing[/] {escape(node.uuid)}"
    heading = escape(node.document.heading)
    return f"{head}[bold]{node.kind}[/] {heading} [cyan]{escape(node.uuid)}[/]"


def _grow(tree: Tree, node: Node, shown: set[str]) -> None:
    if node.note or node.document is None:
        tree.add(f"[red]{escape(node.note)}[/]")
        return
    for key, value in node.document.described().items():
        tree.add(f"[dim]{escape(key)}[/] {escape(value)}")
    for role, children in node.sources.items():
        branch, listed = tree, children
        if len(children) > MANY:
            branch = tree.add(f"[dim]{escape(role)}:[/] {_count(children)}, for example")
            shown |= {c.uuid for c in children[1:]}
            listed = [*children[:1], *(c for c in children[1:] if c.document is None)]
        for child in listed:
            if child.uuid in shown and child.document is not None and not child.note:
                branch.add(f"{_line(child, role)} [dim](above)[/]")
                continue
            shown.add(child.uuid)
            _grow(branch.add(_line(child, role)), child, shown)


def _count(nodes: list[Node]) -> str:
    """Return how many documents there are, in which states, and how many are missing."""
    states = count_states(n.document for n in nodes if isinstance(n.document, LabelDoc))
    missing = sum(n.document is None for n in nodes)
    return (
        f"{len(nodes)} documents"
        + (f" ({states})" if states else "")
        + (f", [bold red]{missing} missing[/]" if missing else "")
    )


def count_states(labels: Iterable[LabelDoc]) -> str:
    """Return how many labels are in which state, such as ``120 converged, 6 failed``."""
    states = Counter(label.state for label in labels)
    return ", ".join(f"{n} {state}" for state, n in states.most_common())

"""From any document back to the campaign file it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jobflow import JobStore
from rich.markup import escape
from rich.tree import Tree

from hea_flows.results.store.facts import counted, facts, name_of
from hea_flows.results.store.query import by_uuid, by_uuids
from hea_flows.schemas import Document, LabelDoc

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

    @property
    def name(self) -> str:
        """Short name of the document."""
        return name_of(self.document) if self.document else ""

    @property
    def facts(self) -> dict[str, str]:
        """Checksums, seeds, sizes, settings id and versions."""
        return facts(self.document) if self.document else {}

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


def walk(store: JobStore, uuid: str) -> Node:
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
    top = by_uuid(store, uuid)
    known: dict[str, Document] = {top.uuid: top}
    asked, level = {top.uuid}, [top]
    while level:  # one query per generation, however many labels there are
        wanted = sorted({u for d in level for us in d.sources.values() for u in us} - asked)
        asked |= set(wanted)
        found = by_uuids(store, wanted) if wanted else {}
        known |= found
        level = list(found.values())
    return _node(top.uuid, known, {}, ())


def _node(
    uuid: str, known: dict[str, Document], made: dict[str, Node], path: tuple[str, ...]
) -> Node:
    if uuid in path:
        return Node(uuid, known[uuid], note="a document among its own sources; not followed")
    if uuid in made:
        return made[uuid]
    if uuid not in known:
        made[uuid] = Node(uuid, note="missing: no such document in this store")
        return made[uuid]
    document = known[uuid]
    made[uuid] = Node(uuid, document)
    made[uuid].sources = {
        role: [_node(u, known, made, (*path, uuid)) for u in uuids]
        for role, uuids in document.sources.items()
    }
    return made[uuid]


def render_tree(node: Node) -> Tree:
    """Return a tree for the terminal; what was shown once is referred to afterwards."""
    tree = Tree(_label(node, ""))
    _grow(tree, node, {node.uuid})
    return tree


def _label(node: Node, role: str) -> str:
    head = f"[dim]{escape(role)}:[/] " if role else ""
    if node.document is None:
        return f"{head}[bold red]missing[/] {escape(node.uuid)}"
    return f"{head}[bold]{node.kind}[/] {escape(node.name)} [cyan]{escape(node.uuid)}[/]"


def _grow(tree: Tree, node: Node, shown: set[str]) -> None:
    if node.note:
        tree.add(f"[red]{escape(node.note)}[/]")
        return
    for key, value in node.facts.items():
        tree.add(f"[dim]{escape(key)}[/] {escape(value)}")
    for role, children in node.sources.items():
        single = children
        labels = [c.document for c in children if isinstance(c.document, LabelDoc)]
        if len(children) > MANY:
            what = f"{len(children)} documents" + (f" ({counted(labels)})" if labels else "")
            gone = sum(c.document is None for c in children)
            what += f", [bold red]{gone} missing[/]" if gone else ""
            branch = tree.add(f"[dim]{escape(role)}:[/] {what}, for example")
            shown |= {c.uuid for c in children[1:]}
            single = [*children[:1], *(c for c in children[1:] if c.document is None)]
        else:
            branch = tree
        for child in single:
            if child.uuid in shown and child.document is not None and not child.note:
                branch.add(f"{_label(child, role)} [dim](above)[/]")
                continue
            shown.add(child.uuid)
            _grow(branch.add(_label(child, role)), child, shown)

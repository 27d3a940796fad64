"""Documents of a campaign as a whole: its file and its report."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from hea_flows.schemas.documents import Document
from hea_flows.schemas.files import StoredFile


class CampaignDoc(Document):
    """The campaign file itself."""

    kind: Literal["campaign"] = "campaign"
    name: str
    config: str = Field(description="The file, as the user wrote it.")
    config_sha256: str

    @property
    def heading(self) -> str:
        """Name of the campaign."""
        return self.name

    def headline(self) -> dict[str, object]:
        """Return the checksum of the file."""
        return {
            "file sha256": self.config_sha256,
        }


class ReportDoc(Document):
    """The report of a campaign."""

    blob_fields: ClassVar[tuple[str, ...]] = ("html",)

    kind: Literal["report"] = "report"
    title: str
    summary: dict[str, Any]
    missing: dict[str, str] = Field(
        default_factory=dict,
        description="Models and other results that there are none of, and why.",
    )
    html: StoredFile = Field(description="Self-contained page, in the data store.")

    @property
    def heading(self) -> str:
        """Title of the page."""
        return self.title

    def headline(self) -> dict[str, object]:
        """Return the checksum of the page."""
        return {
            "page sha256": self.html.sha256,
        }

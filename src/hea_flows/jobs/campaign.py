"""The first job of a campaign: its file becomes the document every result leads back to."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Maker, job

from hea_flows.config import text_sha256
from hea_flows.provenance import provenance
from hea_flows.schemas import CampaignDoc


@dataclass
class CampaignFileMaker(Maker):
    """Store the campaign file as the user wrote it."""

    name: str = "campaign file"

    @job(output_schema=CampaignDoc)
    def make(self, name: str, text: str) -> CampaignDoc:
        """Return the document of a campaign's name and text."""
        return CampaignDoc(**provenance(), name=name, config=text, config_sha256=text_sha256(text))

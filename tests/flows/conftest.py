"""A small campaign on real PBE labels, run by real workers on a real MongoDB."""

from __future__ import annotations

from pathlib import Path

import pytest

CAMPAIGN = """\
name: small
seed: 23
alloy: {elements: [Mo, Ta, Nb, W], prototype: 2H-MX2, anion: S}
structures:
  - set: 1(1)+2(2)
  - set: 2(4)
    use: held-out        # not in the dataset: recorded misses
  - set: "random(2x2, n=1, components=2..4)"
    use: held-out
    labels: {engine: archive, options: {calculation: static}}
labels: {engine: archive}
model: chgnet:0.3.0
training: {epochs: 2, batch_size: 8, seed: 1}
benchmark: {relaxed: false}
monte_carlo:
  {supercell: 2x2, temperatures: [300, 900], runs: 1, steps: 12, burn_in: 4, random: 4,
   mode: fixed lattice}
thermodynamics:
  sqs: {2: 2x1, 3: 3x1, 4: 2x2}
  sqs_steps: 50
  random_supercell: 4x2
  n_random: 2
  mode: fixed lattice
  sqs_labels: reference
"""


@pytest.fixture
def campaign_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(CAMPAIGN)
    return path

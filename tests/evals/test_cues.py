"""How often a plain question is taken for a feeling, and how well feelings are felt: measured on public sets.

The sets are not part of the project: PARLOUR_EVAL_DATA names their folder, else ../shared/data is looked for.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.chat.insight import Insight

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("PARLOUR_EVAL_DATA") or ROOT.parent / "shared" / "data")
INSIGHT = Insight()
MOST_WRONGLY_EMOTIONAL = {"clinc150": 0.05, "banking77": 0.05}
LEAST_CORRELATION = {"tweets": 0.80, "amazon": 0.50, "movies": 0.33, "nyt": 0.40}
"""Film critics are not our visitors: keeping calm at a service desk costs agreement with them, and is worth it."""


def rows(name: str, every: int = 1) -> Iterator[dict[str, Any]]:
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the evaluation set {name} is absent; set PARLOUR_EVAL_DATA to its folder")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for at, line in enumerate(lines):
            if at % every == 0:
                yield json.loads(line)


@pytest.mark.parametrize("name", MOST_WRONGLY_EMOTIONAL)
def test_questions_are_seldom_taken_for_feelings(name: str) -> None:
    readings = [INSIGHT.read(row["text"], "en") for row in rows(f"{name}/utterances", every=2)]
    share = sum(reading.sentiment != "neutral" for reading in readings) / len(readings)
    print(f"{name}: {share:.1%} of {len(readings)} wrongly emotional")
    assert share <= MOST_WRONGLY_EMOTIONAL[name]


@pytest.mark.parametrize("domain", LEAST_CORRELATION)
def test_feelings_agree_with_people(domain: str) -> None:
    found = [row for row in rows("vader-sentiment/items", every=3) if row["domain"] == domain]
    ours = [INSIGHT.feeling(row["text"]) for row in found]
    r = statistics.correlation(ours, [float(row["rating"]) for row in found])
    print(f"{domain}: r = {r:.3f} on {len(found)}")
    assert r >= LEAST_CORRELATION[domain]

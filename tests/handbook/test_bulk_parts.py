"""The guide's command that cuts a shop's changes makes parts that the service takes."""

import json
import re
import subprocess
from pathlib import Path

from service.admission.costs import MAX_CHANGES
from service.http.body_structure import MAX_VALUES

GUIDE = Path(__file__).parents[2] / "docs/how-to/new-items.md"
MEBIBYTE = 1 << 20


def test_each_part_of_many_changes_is_within_the_limits_of_a_request(tmp_path: Path) -> None:
    short = [json.dumps({"item_id": str(number), "hidden": True}) for number in range(25_000)]
    embedding = [0.12] * 576
    long = [
        json.dumps({"item_id": "n", "title": "x", "embedding": embedding}, separators=(",", ":"))
    ]
    text = "\n".join([*short, *(long * 500)])  # no newline at the end
    (tmp_path / "changes.ndjson").write_text(text, encoding="utf-8")
    (command,) = re.findall(r"^split .*$", GUIDE.read_text(encoding="utf-8"), re.M)

    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)

    parts = [each.read_text(encoding="utf-8") for each in sorted(tmp_path.glob("part-*"))]
    assert "".join(parts) == text
    assert max(map(len, parts)) <= MEBIBYTE
    assert max(len(part.splitlines()) for part in parts) <= MAX_CHANGES
    assert max(part.count(",") for part in parts) <= MAX_VALUES

import json
import subprocess
from pathlib import Path

from proofs.stored_runs import prove


def _store(root: Path, benchmark: str, name: str, runs: list[float]) -> None:
    path = root / "benchmarks" / "out" / f"{benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"figures": [{"name": name, "runs": runs}]}))
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for arguments in (("add", "."), (*author, "commit", "--quiet", "--message", "a run")):
        subprocess.run(["git", "-C", str(root), *arguments], check=True)


def test_every_version_of_a_report_in_the_history_is_a_stored_run(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    p90 = "p90 at 1,000 requests/s, regulars"
    _store(tmp_path, "constant_rate", p90, [9.0, 7.0, 8.0])
    _store(tmp_path, "constant_rate", p90, [1.0, 3.0, 2.0])
    _store(tmp_path, "peers", "throughput over the best peer's (one)", [2.5])
    _store(tmp_path, "peers", "throughput over the best peer's (another)", [1.5])
    _store(tmp_path, "constant_rate", f"{p90} at random moments", [9.0])

    values = {each.name: each.value for each in prove(root=tmp_path)}

    assert values == {
        "constant_rate: stored runs": 2,
        f"{p90}: smallest": 2.0,
        f"{p90}: largest": 8.0,
        "peers: stored runs": 2,
        "throughput over the best peer's: smallest": 1.5,
        "throughput over the best peer's: largest": 2.5,
    }

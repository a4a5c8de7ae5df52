"""The service that the scenarios kill: what it keeps of its journal."""

from pathlib import Path

from tests.support.upstream import Upstream


def test_cut_line(tmp_path: Path) -> None:
    """A line that a kill cut is forgotten, and the next entry is a line of its own."""
    with Upstream(tmp_path) as upstream:
        upstream.add("Role 0")
        upstream.kill()
        whole = upstream.journal.read_bytes()
        upstream.journal.write_bytes(whole + whole[:50])
        upstream.start()

        upstream.add("Role 1")
        upstream.restart()

        assert [entry.status for entry in upstream.entries()] == [201, 201]

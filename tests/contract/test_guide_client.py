"""The client over httpx of the guide, as its readers run it."""

import gc
import ssl
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.support.documentation import joined

pytestmark = pytest.mark.usefixtures("unmeasured")


def names_of_guide() -> dict[str, Any]:
    """Return the names that there are after the examples of the guide's page."""
    names: dict[str, Any] = {"__name__": __name__}
    page = joined("arize_roles_fake/guide/contract.md")
    exec(compile(page, "<contract.md>", "exec"), names)  # noqa: S102 - the guide's
    return names


# httpx reads the machine's certificates for every client, which here reaches none but the fake.
CONTEXT: Final = ssl.create_default_context()


def shared_context(**_: object) -> ssl.SSLContext:
    return CONTEXT


Suite: Any = names_of_guide()["TestHttpxRolesClient"]


# httpx leaves the sockets of a closed event loop to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.full
class TestGuideClient(Suite):  # type: ignore[misc]
    @pytest.fixture(autouse=True)
    def share_certificates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ssl, "create_default_context", shared_context)

    @pytest.fixture(autouse=True)
    def collect(self, request: pytest.FixtureRequest) -> Iterator[None]:
        """Have the collector find those sockets before another test begins."""
        yield
        if request.node.name == "test_next_loop":
            gc.collect()

import pytest

from arize_roles_fake.contract import _role_bindings, _roles


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a clock until one that ticks every 0.1 s has, not every second."""
    for module in (_roles, _role_bindings):
        monkeypatch.setattr(module, "PAUSES", (0.0, 0.02, 0.1))

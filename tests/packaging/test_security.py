"""Each sentence about security, and the tests that hold it."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent

HELD = {
    "README.md": {
        "The API key goes to the service alone": "tls:test_redirect"
        " secrets:test_echo secrets:test_reprs",
        "Other code": "middlewares:test_status tls:test_no_verify",
        "Please report": "",
    },
    "arize_roles_async/guide/api-keys.md": {
        "A client sends one": "config:test_sources",
        "`api_key`, or": "config:test_sources",
        "A key has letters": "api_keys:test_no_key",
        "Any other is": "api_keys:test_no_key secrets:test_refused",
        "Pass a function": "api_keys:test_rotation",
        "It takes no arguments": "api_keys:test_leaving_queue",
        "This one fetches": "api_keys:test_rotation",
        "Rotate in this": "api_keys:test_rotation",
        "If the vault": "api_keys:test_rotation",
        "The client caches": "api_keys:test_leaving_queue",
        "It asks the function": "api_keys:test_leaving_queue",
        "A call that looks up": "api_keys:test_shared_walk",
        "The function runs": "api_keys:test_cancelled_itself",
        "A synchronous": "",
        "After a 401": "secrets:test_echo api_keys:test_gateway",
        "If it returns another": "secrets:test_raised",
        "A second 401": "api_keys:test_rotation",
        "The new key may": "api_keys:test_delete api_keys:test_delete_role",
        "If the function raises": "api_keys:test_no_key api_keys:test_create",
        "Messages, log lines": "secrets:test_echo secrets:test_raised",
        "If an answer": "secrets:test_echo secrets:test_raised",
        "| text with": "redaction:test_written redaction:test_echo redaction:test_redact",
        "The frames of the function": "middlewares:test_mistake",
        "Redirects are not": "tls:test_redirect",
        "Plain http needs": "config:test_loopback config:test_elsewhere",
        "Code in the same": "middlewares:test_status",
        "So can another": "proxies:test_heads",
        "With `verify": "tls:test_no_verify config:test_unverified",
        "`with_options": "api_keys:test_slots",
        "A copy has": "api_keys:test_subclass",
        "Without its": "api_keys:test_subclass",
        "All copies": "api_keys:test_slots",
        "Copies with the same": "api_keys:test_kinds",
        "A client keeps both": "api_keys:test_many",
        "Two functions": "api_keys:test_kinds",
        "So make no new": "",
        "One function may": "api_keys:test_shared_walk",
        "But its keys": "api_keys:test_shared_walk",
        "So prefer": "",
        "A client needs a key": "config:test_refused",
        "Calls of one tenant": "api_keys:test_slots",
        "If that matters": "",
    },
}
"""The beginnings of all sentences, each with its tests in `tests/client`; advice has none."""


def sentences(text: str) -> list[str]:
    """Return the sentences of a page, without its headings and examples."""
    text = re.sub(r"(?ms)^```.*?^```$|^#.*?$", "\n", text)
    blocks = (" ".join(each.split()) for each in re.split(r"\n\s*\n|\n(?=- )", text))
    found = [re.split(r"(?<=[.:])\s+(?=[A-Z`])", each.removeprefix("- ")) for each in blocks]
    return [each for block in found for each in block if each]


def test_named() -> None:
    """No sentence is without a name here, and none was taken away."""
    for page, held in HELD.items():
        text = (ROOT / page).read_text("utf-8")
        if page == "README.md":
            text = text.partition("## Security\n")[2].partition("\n## ")[0]
        for sentence, beginning in zip(sentences(text), held, strict=True):
            assert sentence.startswith(beginning)


def test_held() -> None:
    """Each test that is named is there."""
    for name in " ".join(each for held in HELD.values() for each in held.values()).split():
        file, _, test = name.partition(":")
        assert f"def {test}(" in (TESTS / "client" / f"test_{file}.py").read_text("utf-8"), name

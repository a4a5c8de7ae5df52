"""The contracts of each protocol, as test suites for clients of your own.

```python
class TestMyClient(OnFakeAccount, RolesContract):
    def open_client(self) -> AbstractAsyncContextManager[RolesClient]:
        return MyRolesClient(FakeRolesClient(self.account))
```

pytest then runs every test of the contract on it, with or without an async plugin. Everything
asserted comes from the service's REST reference or from the promises of the protocol; each test's
docstring names the rule. `guide/contract.md` shows suites of each contract.

`OnFakeAccount` sets up the rules on a `FakeAccount`: `self.account`, served under `self.url`. A
suite without it writes these methods itself. pytest makes an instance of the class for each test,
so all clients of a test share an account that lives on the instance. The account may already hold
roles; the tests make their own, under random names, and delete them again. A suite that lacks a
method which every rule needs is an error where pytest collects it. Without an optional method it
skips the rules that need it, and the report names these rules. A rule that has not ended after
`time_limit` seconds, 60 by default, has failed.

Where the reference is silent, a test expects what the suite's `assumptions` say, and a failure
names those that it asked for. A client that may return what it has read before, such as a cache,
says with `max_staleness` for how many seconds; the tests then wait that long before they expect it
to see what another client wrote.

If a rule does not hold for a client, override its test with a marker of pytest's and a reason,
which the report then shows; an override without them is an error:

```python
@pytest.mark.skip("the cache hands out pages under cursors of its own")
def test_foreign_cursor(self) -> None: ...

@pytest.mark.xfail(reason="issue 7: names are compared without their case")
def test_name_case(self) -> None:
    super().test_name_case()
```
"""

from arize_roles_async import MissingExtraError

try:
    from arize_roles_fake.contract._directory import DirectoryContract
    from arize_roles_fake.contract._on_fake_account import OnFakeAccount
    from arize_roles_fake.contract._role_bindings import RoleBindingsContract
    from arize_roles_fake.contract._roles import RolesContract
except ModuleNotFoundError as _error:
    raise MissingExtraError(
        f"the contracts need {_error.name}, which is not installed: pip install {_error.name}"
    ) from _error

__all__ = ["DirectoryContract", "OnFakeAccount", "RoleBindingsContract", "RolesContract"]

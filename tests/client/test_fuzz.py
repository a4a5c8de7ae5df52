# `python -m tests.tools.fuzz_responses` runs 100,000 examples.


from tests.tools.fuzz_responses import fuzz_socket, fuzz_wire


def test_responses() -> None:
    """Any response is a valid model or an error of ours."""
    fuzz_wire(250)


def test_sockets() -> None:
    """Any bytes on a socket are a valid model or an error of ours."""
    fuzz_socket(100)

from tests.tools.fuzz_responses import fuzz_socket, fuzz_wire

# `python -m tests.tools.fuzz_responses` runs 100,000 examples.


def test_any_response_is_a_valid_model_or_an_error_of_ours() -> None:
    fuzz_wire(250)


def test_any_bytes_on_a_socket_are_a_valid_model_or_an_error_of_ours() -> None:
    fuzz_socket(100)

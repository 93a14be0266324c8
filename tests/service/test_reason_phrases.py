from http import HTTPStatus

from service.reason_phrases import reason_phrase


def test_phrases_are_those_of_rfc_9110_whatever_the_version_of_python() -> None:
    assert reason_phrase(413) == "Content Too Large"
    assert reason_phrase(414) == "URI Too Long"
    assert reason_phrase(416) == "Range Not Satisfiable"
    assert reason_phrase(422) == "Unprocessable Content"


def test_other_phrases_are_those_of_python() -> None:
    assert reason_phrase(HTTPStatus.NOT_FOUND) == "Not Found"

from service.stores.history.protocol import MAX_USERS
from service.stores.history.user_sessions import UserSessions


def linked(*links: str) -> UserSessions:
    """Links made in this order; `s-ann` links session `s` with user `ann`."""
    made = UserSessions()
    for link in links:
        made.link(*link.split("-"))
    return made


def test_a_user_has_each_session_once_and_none_of_another_user() -> None:
    links = linked("s-ann", "t-ann", "s-ann", "u-ben")
    assert (links.of("ann"), links.of("ben"), links.of("eve")) == (["s", "t"], ["u"], [])


def test_a_session_whose_user_changes_belongs_to_both() -> None:
    links = linked("s-ann", "s-ben")
    assert (links.of("ann"), links.of("ben")) == (["s"], ["s"])


def test_a_session_keeps_the_users_of_its_newest_events() -> None:
    newer = [f"s-{number}" for number in range(MAX_USERS - 1)]
    links = linked("s-ann", "s-ben", "t-ben", "s-ann", *newer)
    assert (links.of("ann"), links.of("ben")) == (["s"], ["t"])
    assert len([*links]) == MAX_USERS + 1  # ben has `t`


def test_a_forgotten_session_is_left_out_of_all_its_users() -> None:
    links = linked("s-ann", "s-ben", "t-ben")
    links.forget_session("s")
    assert (links.of("ann"), links.of("ben")) == ([], ["t"])
    assert [*links] == ["ben"]


def test_a_forgotten_user_is_left_out_of_its_sessions_which_keep_their_other_users() -> None:
    links = linked("s-ann", "s-ben", "t-ann")
    links.forget_user("ann")
    links.link("t", "ann")
    assert (links.of("ann"), links.of("ben")) == (["t"], ["s"])


def test_no_user_is_left_without_a_session() -> None:
    links = linked("s-ann", "s-ben", "t-ben", "u-eve")
    for ref in "stu":
        links.forget_session(ref)
    links.forget_session("unknown")
    links.forget_user("unknown")
    assert [*links] == []

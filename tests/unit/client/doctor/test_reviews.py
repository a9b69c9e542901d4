"""Rights by the API server's own authorization."""

import pytest

from fleetscore.cluster.connection import Cluster
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.doctor.reviews import account_name, expand, missing_account, review, reviewed
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease

LOG = Right("get", "pods/log", "", "scoring")


def test_rules_are_expanded_to_rights() -> None:
    assert list(expand([("", "pods/log", ("get",))], "scoring")) == [LOG]


def test_right_is_reviewed_with_its_subresource(fake_release: FakeRelease) -> None:
    assert review(Cluster.connect(), LOG)() is True
    fake_release.denied.add("get pods/log")
    assert review(Cluster.connect(), LOG, "system:serviceaccount:a:b", "x")() is False


@pytest.mark.parametrize(("namespace", "kind"), [("a", "localsubjectaccessreviews"), ("", "subjectaccessreviews")])
def test_rights_that_the_user_may_not_review_are_unseen(namespace: str, kind: str) -> None:
    assert reviewed({LOG: True}, namespace) == {LOG: True}
    found = reviewed({LOG: Unseen("no", "ask")}, namespace)
    assert isinstance(found, Unseen)
    assert kind in found.reason


@pytest.mark.usefixtures("fake_release")
def test_account_of_a_pod_has_a_name_and_may_be_missing() -> None:
    assert account_name("a", {"serviceAccountName": "b"}) == "system:serviceaccount:a:b"
    assert account_name("a", {}) == "system:serviceaccount:a:default"
    cluster = Cluster.connect()
    assert missing_account(cluster, fake.NAMESPACE, {"serviceAccountName": "operator"}) == ""
    assert missing_account(cluster, fake.NAMESPACE, {"serviceAccountName": "wrong"}) == "wrong"

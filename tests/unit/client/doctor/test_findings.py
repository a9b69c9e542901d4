"""Findings, rights, and the exit code."""

from fleetscore.doctor.findings import Finding, Result, Right, exit_code, in_order, named


def a_finding(result: Result, check: str) -> Finding:
    return Finding(result, check, "s", "m", "c")


def test_right_is_named_with_the_rule_that_grants_it() -> None:
    right = Right("list", "deployments", "apps", "scoring")
    assert str(right) == "list deployments.apps"
    rule = '{apiGroups: ["apps"], resources: [deployments], verbs: [list]}'
    assert right.rule == f"a Role in namespace scoring with the rule {rule}"
    assert Right("get", "pods/log").rule.startswith(
        'a ClusterRole with the rule {apiGroups: [""], resources: [pods/log'
    )


def test_names_beyond_the_third_are_counted() -> None:
    assert [named("abc"), named("abcde"), named([])] == ["a, b, c", "a, b, c and 2 more", ""]


def test_only_problems_give_the_exit_code_1() -> None:
    others = [a_finding(result, "crd") for result in (Result.OK, Result.WARNING, Result.UNKNOWN)]
    assert exit_code(others) == 0
    assert exit_code([*others, a_finding(Result.PROBLEM, "crd")]) == 1


def test_findings_are_in_the_order_of_the_checks_and_of_severity() -> None:
    found = [a_finding(Result.OK, "crd"), a_finding(Result.OK, "user"), a_finding(Result.PROBLEM, "crd")]
    assert [(one.check, one.result) for one in in_order(found)] == [
        ("crd", Result.PROBLEM),
        ("crd", Result.OK),
        ("user", Result.OK),
    ]


def test_finding_is_a_json_object_of_texts() -> None:
    expected = {"result": "OK", "check": "crd", "subject": "s", "message": "m", "cure": "c"}
    assert a_finding(Result.OK, "crd").as_json() == expected

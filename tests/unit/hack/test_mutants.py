import tomllib

from hack import mutants

RESULTS = """
    scoring_operator.planner.queueing.x_blocking_run__mutmut_13: survived
    scoring_operator.planner.queueing.x_blocking_run__mutmut_14: killed
"""


def test_modules_of_both_packages_are_listed() -> None:
    modules = mutants.all_modules()
    assert {"planner/plan", "scoring/scorer"} <= set(modules)
    assert not [module for module in modules if "__init__" in module]


def test_settings_name_the_copied_sources_of_the_chosen_modules() -> None:
    settings = tomllib.loads(mutants.settings(["planner/plan", "scoring/scorer"]))["tool"]["mutmut"]
    assert settings["only_mutate"] == ["src/scoring_operator/planner/plan.py", "src/device_scorer/scoring/scorer.py"]
    assert all((mutants.ROOT / name).exists() for name in settings["also_copy"])
    assert all((mutants.ROOT / name).exists() for name in settings["pytest_add_cli_args_test_selection"])


def test_state_of_each_mutant_is_read() -> None:
    assert list(mutants.states(RESULTS).values()) == ["survived", "killed"]

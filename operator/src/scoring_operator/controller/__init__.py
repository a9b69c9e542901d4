"""The reconcile loop: it observes a run, asks the planner for a plan, and applies the plan.

Decisions live in planner, requests in kube and storage.
"""

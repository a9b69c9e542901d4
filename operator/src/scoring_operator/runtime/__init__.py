"""The operator process: settings, threads, kopf handlers and shutdown.

The reconcile loop lives in controller.
"""

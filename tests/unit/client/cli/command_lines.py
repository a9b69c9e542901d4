"""A valid command line of each command: those that read a fleet, and those that need a cluster."""

SPAN = ("--start", "2018-08-28T00:00Z", "--end", "2018-08-29T00:00Z")
READING: dict[str, tuple[str, ...]] = {
    "anomalies": (),
    "compact": (*SPAN, "--to", "out"),
    "device": ("press-1",),
    "failed": (),
    "incidents": (),
    "mute": ("press-1", "--why", "new valve"),
    "mutes": (),
    "open": ("--print",),
    "replay": ("press-1",),
    "sensors": (),
    "ui": ("--port", "0"),
    "unmute": ("press-1",),
}
OF_CLUSTER: dict[str, tuple[str, ...]] = {
    "backfill": ("--from", "2018-08-28T00:00Z", "--to", "2018-08-28T01:00Z"),
    "cancel": (),
    "doctor": (),
    "logs": ("press-1",),
    "resume": (),
    "retry": (),
    "run": ("--window", "2018-08-28T23:00Z"),
    "schedules": (),
    "status": (),
    "suspend": (),
    "wait": (),
}
COMMANDS = READING | OF_CLUSTER

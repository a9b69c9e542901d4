"""The causes of incidents, as the result of a report and the settings of receivers name them."""

MACHINE, SENSOR_CAUSE, DATA, FLEET = "machine", "sensor", "data", "fleet"
CAUSES = (MACHINE, SENSOR_CAUSE, DATA, FLEET)

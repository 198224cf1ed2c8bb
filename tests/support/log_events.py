"""Log events with an in-memory exporter and a clock that the test sets."""

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from h2o_otel.telemetry.logs import EventLog


class Kit:
    def __init__(self, lines_per_s=10.0):
        self.now = 0
        self.exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))
        self.events = EventLog(self.provider, lines_per_s, lambda: self.now)
        self.log = self.events.bind({"h2o.connection.id": 7, "h2o.role": "server"})

    @property
    def records(self):
        return [item.log_record for item in self.exporter.get_finished_logs()]

"""The private names of the OpenTelemetry SDK; these tests fail first when a release changes one."""

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from h2o_otel.telemetry import _sdk_check, _sdk_context, _sdk_spans


def test_the_installed_sdk_has_every_private_name():
    assert _sdk_check.check() == []


def test_check_tells_what_is_missing(monkeypatch):
    monkeypatch.setattr(_sdk_context, "_context_variable", None)
    assert _sdk_check.check() == ["opentelemetry.context._RUNTIME_CONTEXT._current_context"]


def test_no_other_module_touches_private_names():
    import ast
    from pathlib import Path

    root = Path(_sdk_check.__file__).parent
    for path in root.glob("*.py"):
        if path.name.startswith("_sdk_"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opentelemetry"):
                parts = (node.module or "").split(".")
                assert not [p for p in parts if p.startswith("_") and p not in ("_logs", "_log_exporter")], f"{path.name}: {node.module}"
                assert not [a.name for a in node.names if a.name.startswith("_") and a.name != "_logs"], path.name


def test_span_dropped_sees_a_full_queue():
    class Exporter(SpanExporter):
        def export(self, spans):
            return SpanExportResult.SUCCESS

    processor = _sdk_spans.BatchSpanProcessor(Exporter(), max_queue_size=2, max_export_batch_size=2, schedule_delay_millis=1e6)
    assert not _sdk_spans.span_dropped(processor)
    processor._batch_processor._queue.extend((1, 2))
    assert _sdk_spans.span_dropped(processor)
    processor._batch_processor._queue.clear()
    processor.shutdown()

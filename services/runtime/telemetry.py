"""Traces and metrics: OpenTelemetry, to an OTLP endpoint or to JSON lines files for a local run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, Tracer, TraceState
from opentelemetry.util.types import Attributes

from services.runtime.settings import TelemetrySettings


class Telemetry:
    """The tracer and meter of a process. They carry names of methods, codes and counts, never values."""

    def __init__(self, settings: TelemetrySettings, *, service: str, deployment: str) -> None:
        resource = Resource(
            {
                "service.name": f"idv-{service}",
                "service.namespace": "idv",
                "deployment.environment.name": deployment,
            }
        )
        self._ratio = settings.sample_ratio
        exporters = _exporters(settings)
        self._traces = TracerProvider(
            resource=resource, sampler=ParentBased(_EntrySampler()), shutdown_on_exit=False
        )
        readers: list[MetricReader] = []
        for spans, metrics in exporters:
            self._traces.add_span_processor(BatchSpanProcessor(spans, export_timeout_millis=5000))
            readers.append(
                PeriodicExportingMetricReader(metrics, export_interval_millis=settings.metric_seconds * 1000)
            )
        self._metrics = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        self.records_spans = bool(exporters)
        self.tracer: Tracer = self._traces.get_tracer("idv")
        self.meter: Meter = self._metrics.get_meter("idv")

    def sampled(self) -> bool:
        """Whether a call that brings no decision with it is traced and logged in full."""
        return random.random() < self._ratio  # noqa: S311 - a sample, no secret

    def close(self) -> None:
        """Sends what is left; blocks for a few seconds at most."""
        self._traces.shutdown()
        self._metrics.shutdown(timeout_millis=5000)


class _EntrySampler(Sampler):
    """Records a root span only where a call enters: its sample is taken already, the rest follows."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decides by the kind of the span."""
        return SamplingResult(Decision.RECORD_AND_SAMPLE if kind is SpanKind.SERVER else Decision.DROP)

    def get_description(self) -> str:
        """A name for the sampler."""
        return "EntrySampler"


class _JsonLines:
    """Appends lines to a file, opened for each batch: one that was moved away is not written to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, lines: Sequence[str]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


class SpanFile(SpanExporter):
    """Writes spans as JSON lines."""

    def __init__(self, path: Path) -> None:
        self._lines = _JsonLines(path)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Appends the batch; a full disk loses spans, never a call."""
        try:
            self._lines.append([span.to_json(indent=None) for span in spans])
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class MetricFile(MetricExporter):
    """Writes metrics as JSON lines."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._lines = _JsonLines(path)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Appends one line with every metric; a full disk loses metrics, never a call."""
        try:
            self._lines.append([metrics_data.to_json(indent=None)])
        except OSError:
            return MetricExportResult.FAILURE
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing waits: each batch is written at once."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Nothing stays open."""


def _exporters(settings: TelemetrySettings) -> list[tuple[SpanExporter, MetricExporter]]:
    found: list[tuple[SpanExporter, MetricExporter]] = []
    if settings.directory is not None:
        found.append(
            (
                SpanFile(settings.directory / "spans.jsonl"),
                MetricFile(settings.directory / "metrics.jsonl"),
            )
        )
    if settings.otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        endpoint = settings.otlp_endpoint
        found.append((OTLPSpanExporter(endpoint=endpoint), OTLPMetricExporter(endpoint=endpoint)))
    return found

"""Pushes metrics by the OpenTelemetry SDK: a counter that grows by 2 MB and a memory level, each second, for 8 s."""
import sys
import time

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

exporter = OTLPMetricExporter(endpoint=sys.argv[1], compression=Compression.Gzip)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
provider = MeterProvider([reader], resource=Resource({"host.name": "n7", "service.name": "pusher"}))
meter = provider.get_meter("test")
disk = meter.create_counter("system.disk.io", "By")
meter.create_observable_gauge("system.memory.usage", [lambda _: [Observation(5e8, {"system.memory.state": "used"})]])
began = time.monotonic()
sent = 0
for second in range(9):
    time.sleep(max(0.0, began + second - time.monotonic()))
    now = int((time.monotonic() - began) * 2e6)
    disk.add(now - sent, {"system.device": "sda", "disk.io.direction": "write"})
    sent = now
    reader.force_flush()
provider.shutdown()

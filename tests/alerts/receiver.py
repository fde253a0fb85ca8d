"""Receives OTLP over gRPC and HTTP, and any POST of JSON, and prints each as a line of JSON.

usage: receiver.py GRPC_PORT HTTP_PORT (0 is any). The first line has the ports. What is received over
OTLP is decoded by the protocol's own generated classes; nothing here is riptide's.
"""

import http.server
import json
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.profiles.v1development import (
    profiles_service_pb2,
    profiles_service_pb2_grpc,
)

lock = threading.Lock()


def say(value):
    with lock:
        print(json.dumps(value), flush=True)


def received(signal, over, message, headers):
    body = MessageToDict(message, preserving_proto_field_name=True)
    say({"signal": signal, "over": over, "headers": headers, "body": body})


SIGNALS = {
    "metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse),
    "logs": (logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2.ExportLogsServiceResponse),
    "profiles": (profiles_service_pb2.ExportProfilesServiceRequest, profiles_service_pb2.ExportProfilesServiceResponse),
}
PATHS = {"/v1/metrics": "metrics", "/v1/logs": "logs", "/v1development/profiles": "profiles"}


def servicer(base, signal):
    class Servicer(base):
        def Export(self, request, context):
            headers = {key: str(value) for key, value in context.invocation_metadata()}
            received(signal, "grpc", request, headers)
            return SIGNALS[signal][1]()

    return Servicer()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {key.lower(): value for key, value in self.headers.items()}
        signal = PATHS.get(self.path)
        if signal:
            request, response = SIGNALS[signal]
            message = request()
            message.ParseFromString(body)
            received(signal, "http", message, headers)
            self.answer(200, response().SerializeToString(), "application/x-protobuf")
        else:
            say({"signal": "post", "path": self.path, "headers": headers, "body": json.loads(body)})
            self.answer(200, b"{}", "application/json")

    def answer(self, status, body, media_type):
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def main():
    grpc_port, http_port = int(sys.argv[1]), int(sys.argv[2])
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(
        servicer(metrics_service_pb2_grpc.MetricsServiceServicer, "metrics"), server
    )
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(
        servicer(logs_service_pb2_grpc.LogsServiceServicer, "logs"), server
    )
    profiles_service_pb2_grpc.add_ProfilesServiceServicer_to_server(
        servicer(profiles_service_pb2_grpc.ProfilesServiceServicer, "profiles"), server
    )
    grpc_port = server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    server.start()
    web = http.server.ThreadingHTTPServer(("127.0.0.1", http_port), Handler)
    say({"signal": "ready", "grpc": grpc_port, "http": web.server_address[1]})
    web.serve_forever()


main()

// SPDX-License-Identifier: Apache-2.0
/// \file
/// All compiled parts of the library, for projects that do not build it with CMake: include this
/// file in exactly one source file of the program, and link simdjson, fmt and OpenSSL. Written by
/// .ci/update-src.sh.
#pragma once

#if defined(MILLRACE_HEADER_ONLY)
#error "with MILLRACE_HEADER_ONLY every header brings its own parts along: drop millrace/src.hpp"
#endif

#include <millrace/base/impl/error.ipp>
#include <millrace/base/impl/time_format.ipp>
#include <millrace/codec/impl/json.ipp>
#include <millrace/codec/impl/json_dynamic.ipp>
#include <millrace/codec/impl/json_encoder.ipp>
#include <millrace/codec/impl/json_plan.ipp>
#include <millrace/codec/impl/json_reader.ipp>
#include <millrace/codec/impl/json_reader_errors.ipp>
#include <millrace/codec/impl/json_reader_scalars.ipp>
#include <millrace/codec/impl/json_reading.ipp>
#include <millrace/codec/impl/json_scanner.ipp>
#include <millrace/codec/impl/json_writer.ipp>
#include <millrace/connectors/impl/elasticsearch_bulk.ipp>
#include <millrace/connectors/impl/elasticsearch_options.ipp>
#include <millrace/connectors/impl/elasticsearch_response.ipp>
#include <millrace/connectors/impl/elasticsearch_writer.ipp>
#include <millrace/connectors/impl/file_device.ipp>
#include <millrace/connectors/impl/file_sink.ipp>
#include <millrace/connectors/impl/file_source.ipp>
#include <millrace/connectors/impl/http_call.ipp>
#include <millrace/connectors/impl/http_poll.ipp>
#include <millrace/connectors/impl/http_sink.ipp>
#include <millrace/connectors/impl/mqtt_options.ipp>
#include <millrace/connectors/impl/mqtt_sink.ipp>
#include <millrace/connectors/impl/mqtt_source.ipp>
#include <millrace/dashboard/impl/bottleneck.ipp>
#include <millrace/dashboard/impl/diagnosis.ipp>
#include <millrace/dashboard/impl/metric_table.ipp>
#include <millrace/dashboard/impl/prometheus.ipp>
#include <millrace/dashboard/impl/stall.ipp>
#include <millrace/dsl/impl/pipeline.ipp>
#include <millrace/net/impl/dial.ipp>
#include <millrace/net/impl/gzip.ipp>
#include <millrace/net/impl/http_client.ipp>
#include <millrace/net/impl/http_connection.ipp>
#include <millrace/net/impl/http_pool.ipp>
#include <millrace/net/impl/http_retry.ipp>
#include <millrace/net/impl/http_server.ipp>
#include <millrace/net/impl/http_server_session.ipp>
#include <millrace/net/impl/tls_context.ipp>
#include <millrace/net/impl/transport.ipp>
#include <millrace/net/impl/transport_acceptor.ipp>
#include <millrace/net/impl/url.ipp>
#include <millrace/net/mqtt/impl/connection.ipp>
#include <millrace/net/mqtt/impl/decode.ipp>
#include <millrace/net/mqtt/impl/encode.ipp>
#include <millrace/net/mqtt/impl/inbound.ipp>
#include <millrace/net/mqtt/impl/outbound.ipp>
#include <millrace/net/mqtt/impl/property.ipp>
#include <millrace/net/mqtt/impl/session.ipp>
#include <millrace/net/mqtt/impl/text.ipp>
#include <millrace/net/mqtt/impl/types.ipp>
#include <millrace/record/impl/dynamic_record.ipp>
#include <millrace/record/impl/schema.ipp>
#include <millrace/runtime/impl/drivers.ipp>
#include <millrace/runtime/impl/execution.ipp>
#include <millrace/runtime/impl/plan.ipp>
#include <millrace/runtime/impl/worker.ipp>
#include <millrace/testing/impl/http_server.ipp>
#include <millrace/testing/impl/io_thread.ipp>
#include <millrace/testing/impl/mqtt_broker.ipp>
#include <millrace/testing/impl/mqtt_broker_core.ipp>
#include <millrace/testing/impl/mqtt_connection.ipp>
#include <millrace/testing/impl/mqtt_connection_packets.ipp>
#include <millrace/testing/impl/mqtt_session.ipp>
#include <millrace/testing/impl/simulation.ipp>

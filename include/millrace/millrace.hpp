// SPDX-License-Identifier: Apache-2.0
/// \file
/// The core: everything to assemble and run a pipeline, without connectors and codecs. Includes no
/// heavy header (Asio, Beast, simdjson, OpenSSL).
#pragma once

#include <millrace/base/version.hpp>
#include <millrace/dsl/async_api.hpp>
#include <millrace/dsl/broadcast_process.hpp>
#include <millrace/dsl/broadcast_stream.hpp>
#include <millrace/dsl/keyed_stream.hpp>
#include <millrace/dsl/lookup_api.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/dsl/stream.hpp>
#include <millrace/dsl/windowed_stream.hpp>
#include <millrace/operators/watermark_partitions.hpp>
#include <millrace/windows/aggregates.hpp>

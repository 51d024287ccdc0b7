// SPDX-License-Identifier: Apache-2.0
/// \file
/// The bike-station pipeline itself: MQTT -> JSON -> statistics per station in sliding windows ->
/// each report with the last statistics of its station -> every model that applies -> three
/// outputs.
#pragma once

#include "options.hpp"
#include "records.hpp"

#include <millrace/millrace.hpp>

namespace bike_stations {

/// The streams that leave the analytic part. Each can be used any number of times.
struct city_streams {
  millrace::stream<report> reports;
  millrace::stream<statistics> windows;
  millrace::stream<enriched> pairs;
  millrace::stream<answer> answers;
};

/// Adds source and operators to a pipeline. The models are polled at `options.models`.
city_streams assemble(millrace::pipeline& p, const options& options);

/// Adds the outputs that the options ask for: files, a search engine, or nothing.
void add_outputs(millrace::pipeline& p, const city_streams& city, const options& options);

}  // namespace bike_stations

// SPDX-License-Identifier: Apache-2.0
/// \file
/// The built-in aggregates of typed records. To be included on their own: `count_distinct`
/// (aggregates/distinct.hpp), `quantiles` (aggregates/quantiles.hpp), and those of dynamic records:
/// `statistics_of_record` (aggregates/record_statistics.hpp), `in_field` and `each_field`
/// (aggregates/fields.hpp).
#pragma once

#include <millrace/windows/aggregates/by_time.hpp>
#include <millrace/windows/aggregates/collect.hpp>
#include <millrace/windows/aggregates/compose.hpp>
#include <millrace/windows/aggregates/count.hpp>
#include <millrace/windows/aggregates/extremes.hpp>
#include <millrace/windows/aggregates/first_last.hpp>
#include <millrace/windows/aggregates/histogram.hpp>
#include <millrace/windows/aggregates/moments.hpp>
#include <millrace/windows/aggregates/ranked.hpp>
#include <millrace/windows/aggregates/regression.hpp>
#include <millrace/windows/aggregates/statistics.hpp>
#include <millrace/windows/aggregates/sum.hpp>
#include <millrace/windows/aggregates/where.hpp>

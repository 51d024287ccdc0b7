// SPDX-License-Identifier: Apache-2.0
/// \file
/// All built-in aggregates of typed records. `statistics_of_record` (dynamic records) is in
/// aggregates/record_statistics.hpp.
#pragma once

#include <millrace/windows/aggregates/compose.hpp>
#include <millrace/windows/aggregates/count.hpp>
#include <millrace/windows/aggregates/extremes.hpp>
#include <millrace/windows/aggregates/first_last.hpp>
#include <millrace/windows/aggregates/statistics.hpp>
#include <millrace/windows/aggregates/sum.hpp>

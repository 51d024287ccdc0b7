// SPDX-License-Identifier: Apache-2.0
/// \file
/// SQLite: `sqlite::sink`. The component `millrace::sqlite`.
#pragma once

#include <millrace/connectors/sqlite/sink.hpp>
